"""Files on a disk and objects of a bucket behave alike."""

from pathlib import Path

import pytest

from afterglow.bulk.formats.parquet import read_footer
from afterglow.bulk.sources import Source, file_source, object_source
from afterglow.bulk.types import ImportRejected
from tests.support.stores import stores_at


def _source(kind: str, folder: Path, content: bytes) -> Source:
    if kind == "file":
        (folder / "a.jsonl").write_bytes(content)
        (folder / "a.npy").write_bytes(b"n")
        source: Source | None = file_source(folder / "a.jsonl")
    else:
        stores = stores_at(folder)
        stores.objects.put("in/a.jsonl", content)
        stores.objects.put("in/a.npy", b"n")
        source = object_source(stores.objects, stores.system, "in/a.jsonl", "in/")
    assert source is not None
    return source


@pytest.mark.parametrize("kind", ["file", "object"])
def test_reading(kind: str, tmp_path: Path) -> None:
    source = _source(kind, tmp_path, b"0123456789")
    assert (source.name, source.size) == ("a.jsonl", 10)
    assert [source.read(2, 3), source.read(8, 9), source.read(10, 1)] == [b"234", b"89", b""]
    sibling = source.sibling("a.npy")
    assert sibling is not None
    assert sibling.read(0, 9) == b"n"
    assert source.sibling("b.npy") is None
    reloaded = source.reload()
    assert reloaded is not None
    assert reloaded.version == source.version
    with source.local_copy([(2, 3)]) as path, path.open("rb") as file:
        file.seek(2)
        assert file.read(3) == b"234"


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    source = _source("file", tmp_path, b"1")
    (tmp_path / "a.jsonl").unlink()
    assert source.reload() is None
    with pytest.raises(ImportRejected, match="gone"):
        source.read(0, 1)
    assert file_source(tmp_path / "none") is None


def test_a_longer_key_is_not_the_object(tmp_path: Path) -> None:
    stores = stores_at(tmp_path)
    stores.objects.put("in/a.jsonl.gz", b"1")
    assert object_source(stores.objects, stores.system, "in/a.jsonl", "in/") is None


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 20, b"x" * 8 + b"\xff\xff\0\0PAR1"])
def test_files_without_a_parquet_footer(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ImportRejected):
        read_footer(_source("file", tmp_path, content))
