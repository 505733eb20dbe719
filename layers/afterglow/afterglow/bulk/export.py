"""Exports a collection to a file and its sidecar (protocol: `afterglow.bulk`)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from afterglow.bulk import atomic_file, sidecar
from afterglow.bulk.endpoint import CollectionInfo, Endpoint, RecordStream
from afterglow.bulk.formats import csv, jsonl, parquet
from afterglow.errors import InvalidArgument
from afterglow.settings import System

Writer = Callable[[Path, RecordStream, Callable[[int], None]], int]


def check_target(file: Path) -> None:
    """Check that the file can be written, before anything is read. Raises InvalidArgument, AlreadyExists, NotFound."""
    _writer(file, None)
    if file.suffix == ".parquet":
        parquet.require_pyarrow()
    atomic_file.require_absent(file)
    atomic_file.require_folder(file)


def export(
    endpoint: Endpoint,
    collection: CollectionInfo,
    file: Path,
    system: System,
    on_start: Callable[[int], Callable[[int], None]],
) -> int:
    """Write the collection; returns the number of records. `on_start` gets the expected number, its result each page's.

    Raises the errors of `check_target`, StorageFull and OSError, and leaves no file then.
    """
    check_target(file)
    write = _writer(file, collection.dimension)
    stream = endpoint.read(collection)
    wrote = on_start(stream.count)
    with atomic_file.atomic_write(file, system) as scratch:
        count = write(scratch, stream, wrote)
        with atomic_file.atomic_write(sidecar.sidecar_path(file), system) as sidecar_file:
            sidecar_file.write_bytes(sidecar.encode(collection))
    return count


def _writer(file: Path, dimension: int | None) -> Writer:
    if file.suffix == ".parquet":
        return lambda path, stream, wrote: parquet.write(path, stream, dimension, wrote)
    if file.name.endswith((".jsonl", ".jsonl.gz")):
        return partial(jsonl.write, compressed=file.suffix == ".gz")
    if file.suffix == ".csv":
        return csv.write
    raise InvalidArgument(f"{file.name} ends neither in .parquet nor in .jsonl, .jsonl.gz or .csv")
