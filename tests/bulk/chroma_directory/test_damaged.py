"""Of a damaged directory every vector is found whose bytes are there, and nothing is found that was not there."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from afterglow.bulk.chroma_directory.inventory import Part
from tests.bulk.chroma_directory import damage
from tests.bulk.chroma_directory.conftest import ChromaCopy, Contents, Opened, opened
from tests.bulk.chroma_directory.make import VERSIONS

QUICK = ("0.4.24", "1.5.9")


@dataclass(frozen=True)
class Before:
    """The table before the damage: its bytes, and the vectors of the queue."""

    content: bytes
    queue: set[bytes]


def before_damage(path: Path) -> Before:
    with closing(sqlite3.connect(path / damage.TABLE)) as table:
        queue = {vector for (vector,) in table.execute("SELECT vector FROM embeddings_queue WHERE vector IS NOT NULL")}
    return Before((path / damage.TABLE).read_bytes(), queue)


def present(path: Path, before: Before, expected: Contents) -> set[str]:
    """Ids of the records whose vectors are among the bytes of the HNSW files, or still in the queue.

    SQLite leaves copies of rows that it moved or deleted: a vector is in the queue if none of its places is damaged.
    """
    files = b"".join((folder / "data_level0.bin").read_bytes() for folder in damage.folders(path))
    table = path / damage.TABLE
    content = table.read_bytes() if table.exists() else b""
    vectors = {name: np.array(record[0], "<f4").tobytes() for name, record in expected.items()}
    return {
        name
        for name, vector in vectors.items()
        if vector in files or (vector in before.queue and content.count(vector) >= before.content.count(vector))
    }


def everything(found: Opened, part: Part) -> dict[str, Contents]:
    return {item.description.info.id: found.contents(item.description.info.name, part) for item in found.inventories}


def check(chroma: ChromaCopy, harm: Callable[[Path], None], *, are_tables_whole: bool) -> None:
    before = before_damage(chroma.path)
    harm(chroma.path)
    with opened(chroma.path) as found:
        assert found.tables.is_recovered != are_tables_whole
        records, leftovers = everything(found, Part.RECORDS), everything(found, Part.LEFTOVERS)
        for name in ("plain", "queued"):  # cosine collections have products of numbers, which bytes cannot find
            expected = chroma.records(name)
            vectors = [
                np.array(record[0], "<f4").tobytes()
                for contents in (*records.values(), *leftovers.values())
                for record in contents.values()
            ]
            for identifier in present(chroma.path, before, expected):
                assert np.array(expected[identifier][0], "<f4").tobytes() in vectors, (name, identifier)
        if are_tables_whole:
            for name in ("plain", "queued", "angular"):
                expected = chroma.records(name)
                contents = found.contents(name) | found.contents(name, Part.WITHOUT_VECTORS)
                assert contents.keys() == expected.keys()
                for identifier, record in contents.items():
                    assert record[1:] == expected[identifier][1:]
                    if record[0] is not None and harm is not damage.lengths_gone:
                        assert record[0] == pytest.approx(expected[identifier][0], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("harm", damage.FILES, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("version", QUICK)
def test_files(version: str, harm: Callable[[Path], None], copy_of: Callable[[str], ChromaCopy]) -> None:
    check(copy_of(version), harm, are_tables_whole=True)


@pytest.mark.parametrize("harm", damage.TABLES, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("version", QUICK)
def test_tables(version: str, harm: Callable[[Path], None], copy_of: Callable[[str], ChromaCopy]) -> None:
    check(copy_of(version), harm, are_tables_whole=False)


@pytest.mark.slow
@pytest.mark.parametrize("version", [version for version in VERSIONS if version not in QUICK])
def test_other_generations(version: str, copy_of: Callable[[str], ChromaCopy], originals: Path, tmp_path: Path) -> None:
    for number, harm in enumerate(damage.FILES + damage.TABLES):
        chroma = copy_of(version)
        check(chroma, harm, are_tables_whole=number < len(damage.FILES))
        chroma.path.rename(tmp_path / str(number))
