"""Exports hold everything, in order and bit for bit; they are there whole or not at all."""

import csv
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import orjson
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from afterglow.bulk import export as exporting
from afterglow.bulk import local_endpoint as local_side
from afterglow.bulk.endpoint import CollectionInfo
from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.collection import Engine
from afterglow.collection.types import Records
from afterglow.errors import AlreadyExists, InvalidArgument
from afterglow.settings import System
from tests.bulk.records import collections, comparable, everything, held_by, plain
from tests.support.stores import quick_folder, stores_at

LIKE = CollectionInfo("", "default_tenant", "default_database", "moved", configuration={"hnsw": {"space": "cosine"}})


def ignored(_: int) -> Callable[[int], None]:
    return lambda _: None


def read_lines(path: Path) -> Iterator[tuple[Any, ...]]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for line in lines:
            row = orjson.loads(line)
            vector = np.array(row["embedding"], dtype="<f4").tobytes()
            yield row["id"], vector, row.get("document"), row.get("uri"), comparable(row.get("metadata"))


def read_parquet(path: Path) -> Iterator[tuple[Any, ...]]:
    for row in pyarrow.parquet.read_table(path).to_pylist():
        vector = np.array(row["embedding"], dtype="<f4").tobytes()
        metadata = row["metadata"]
        yield row["id"], vector, row["document"], row["uri"], comparable(metadata and orjson.loads(metadata))


def read_csv(path: Path) -> Iterator[tuple[Any, ...]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            vector = np.array(orjson.loads(row["embedding"]), dtype="<f4").tobytes()
            metadata = row["metadata"]
            yield (
                row["id"],
                vector,
                row["document"] or None,
                row["uri"] or None,
                comparable(orjson.loads(metadata) if metadata else None),
            )


READERS = {
    "moved.jsonl": read_lines,
    "moved.jsonl.gz": read_lines,
    "moved.parquet": read_parquet,
    "moved.csv": read_csv,
}


def filled(local: LocalEndpoint, records: Records, like: CollectionInfo = LIKE) -> CollectionInfo:
    made = local.create_collection(like)
    if records.ids:
        local.add(made, records)
    found = local.find(like.tenant, like.database, like.name)
    assert found is not None
    return found


@given(collections())
@hypothesis_settings(max_examples=30)
def test_a_file_holds_what_the_collection_does(records: Records) -> None:
    with quick_folder() as folder, mock.patch.object(local_side, "_PAGE_ROWS", 5):
        stores = stores_at(folder)
        engine = Engine(stores)
        engine.catalog.ensure_defaults()
        local = LocalEndpoint(stores, engine)
        found = filled(local, records)
        expected_records = plain(records)
        assert everything(local.read(found)) == expected_records
        assert everything(local.read(found, offset=3)) == expected_records[3:]
        for name, read in READERS.items():
            file = folder / name
            assert exporting.export(local, found, file, System(), ignored) == len(records.ids)
            assert list(read(file)) == held_by(name, expected_records)
            sidecar = orjson.loads((folder / f"{name}.import.json").read_bytes())
            assert sidecar["schema"] == found.schema
            assert sidecar["collection_metadata"] is None
            assert sidecar["dimension"] == (records.embeddings.shape[1] if records.ids else None)  # type: ignore[union-attr]
        stores.table.close()


def some(count: int = 9) -> Records:
    vectors = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    nothing = [None] * count
    return Records([f"{number}" for number in range(count)], vectors, [*nothing], [*nothing], [*nothing])


@pytest.mark.parametrize("name", READERS)
def test_a_view_is_one_moment(local: LocalEndpoint, tmp_path: Path, name: str) -> None:
    found = filled(local, some())

    def begun(records: int) -> Callable[[int], None]:
        assert records == 9
        local.add(found, Records(["late"], np.ones((1, 2), dtype=np.float32)))
        return lambda _: None

    assert exporting.export(local, found, tmp_path / name, System(), begun) == 9
    assert local.count(found) == 10


@pytest.mark.parametrize("name", READERS)
def test_what_is_interrupted_leaves_nothing(local: LocalEndpoint, tmp_path: Path, name: str) -> None:
    found = filled(local, some())

    def begun(_: int) -> Callable[[int], None]:
        def stop(_: int) -> None:
            raise KeyboardInterrupt

        return stop

    with pytest.raises(KeyboardInterrupt):
        exporting.export(local, found, tmp_path / name, System(), begun)
    assert list(tmp_path.iterdir()) == []
    assert exporting.export(local, found, tmp_path / name, System(), ignored) == 9
    assert sorted(item.name for item in tmp_path.iterdir()) == [name, f"{name}.import.json"]


def test_refusals(local: LocalEndpoint, tmp_path: Path) -> None:
    found = filled(local, some())
    (tmp_path / "there.jsonl").touch()
    with pytest.raises(AlreadyExists, match=r"there\.jsonl is there already"):
        exporting.export(local, found, tmp_path / "there.jsonl", System(), ignored)
    with pytest.raises(InvalidArgument, match=r"file\.tsv ends neither in"):
        exporting.check_target(tmp_path / "file.tsv")
    with (
        mock.patch("afterglow.bulk.formats.parquet.find_spec", return_value=None),
        pytest.raises(InvalidArgument, match=r"pip install 'afterglow-db\[parquet\]'"),
    ):
        exporting.check_target(tmp_path / "file.parquet")
    exporting.check_target(tmp_path / "file.parquet")


def test_equal_collections_make_equal_files(local: LocalEndpoint, tmp_path: Path) -> None:
    found = filled(local, some())
    for name in READERS:
        one, other = tmp_path / f"one-{name}", tmp_path / f"other-{name}"
        for file in (one, other):
            exporting.export(local, found, file, System(), ignored)
        assert one.read_bytes() == other.read_bytes()
