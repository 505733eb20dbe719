"""Saves what a Chroma directory contains: one file for each collection and part.

    FOLDER/TENANT/DATABASE/NAME.jsonl                   records, with a sidecar for `import`
    FOLDER/TENANT/DATABASE/NAME.without-vectors.jsonl   documents and metadata without a vector
    FOLDER/TENANT/DATABASE/NAME.uncertain.jsonl         records whose vector may be that of another one
    FOLDER/TENANT/DATABASE/NAME.leftovers.jsonl         vectors without a record
    FOLDER/TENANT/DATABASE/NAME.deleted.jsonl           deleted records whose vector is still there, on demand

Each file is complete or absent; an existing one is not replaced.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from afterglow.bulk import atomic_file, sidecar
from afterglow.bulk.chroma_directory.parts import SUFFIXES, Inventory, Origin, Part
from afterglow.bulk.chroma_directory.source import read_part
from afterglow.bulk.chroma_directory.tables import Tables
from afterglow.bulk.formats import jsonl
from afterglow.settings import System


def report_lines(tables: Tables, inventories: Sequence[Inventory]) -> Iterator[str]:
    """The report for a person: each collection with what was found, then what is damaged."""
    for item in inventories:
        parts, origins = item.parts, item.origins
        found = [f"{parts[Part.RECORDS]} records with vectors"]
        if parts[Part.UNCERTAIN]:
            found.append(f"{parts[Part.UNCERTAIN]} records whose vector may be that of another one")
        if parts[Part.RECORDS] or parts[Part.UNCERTAIN]:
            found.append(f"{origins[Origin.FILES]} from the HNSW files, {origins[Origin.QUEUE]} from the queue")
        if origins[Origin.UNUSED]:
            found[-1] += f", {origins[Origin.UNUSED]} from deleted rows of the queue"
        if parts[Part.WITHOUT_VECTORS]:
            found.append(f"{parts[Part.WITHOUT_VECTORS]} records without a vector")
        if parts[Part.LEFTOVERS]:
            found.append(f"{parts[Part.LEFTOVERS]} vectors without a record")
        if parts[Part.DELETED_VECTORS]:
            found.append(f"{parts[Part.DELETED_VECTORS]} deleted records")
        yield f"{item.description.info}: {'; '.join(found)}"
        for damage in item.damage:
            yield f"  {damage}"
    for damage in tables.damage:
        yield damage


def is_damaged(tables: Tables, inventories: Sequence[Inventory]) -> bool:
    """Whether anything is damaged or missing."""
    return bool(tables.damage) or any(
        item.damage or item.parts[Part.WITHOUT_VECTORS] or item.parts[Part.UNCERTAIN] for item in inventories
    )


def check_folder(folder: Path, inventories: Sequence[Inventory]) -> None:
    """Check that no file is there already, before anything is written. Raises AlreadyExists."""
    for item in inventories:
        for part in SUFFIXES:
            atomic_file.require_absent(_path(folder, item, part))


def save(
    tables: Tables, item: Inventory, folder: Path, system: System, wrote: Callable[[int], None]
) -> list[tuple[Path, int]]:
    """Write the files of a collection; returns them with the number of their records. Raises OSError."""
    saved = []
    for part in SUFFIXES:
        is_needed = item.parts[part] or (part is Part.RECORDS and item.description.is_known)
        if not is_needed:
            continue
        path = _path(folder, item, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file.atomic_write(path, system) as scratch:
            count = jsonl.write(scratch, read_part(tables, item, part), wrote, compressed=False)
            if part is not Part.LEFTOVERS:
                with atomic_file.atomic_write(sidecar.sidecar_path(path), system) as sidecar_file:
                    sidecar_file.write_bytes(sidecar.encode(item.description.info))
        saved.append((path, count))
    return saved


def _path(folder: Path, item: Inventory, part: Part) -> Path:
    info = item.description.info
    names = [_file_name(name) for name in (info.tenant, info.database, info.name)]
    return folder / names[0] / names[1] / f"{names[2]}{SUFFIXES[part]}.jsonl"


def _file_name(name: str) -> str:
    """The name as one component of a path."""
    quoted = quote(name, safe=" ")
    return quoted.replace(".", "%2E", 1) if quoted.startswith(".") else quoted
