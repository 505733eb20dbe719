"""Of a damaged directory every vector is found whose bytes are there, and nothing is found that was not there."""

import pickle
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from afterglow.bulk.chroma_directory.parts import Part
from afterglow.bulk.endpoint import create_request
from tests.bulk.chroma_directory import damage
from tests.bulk.chroma_directory.conftest import ChromaCopy, Contents, Opened, assert_equal, opened
from tests.bulk.chroma_directory.make import VERSIONS

QUICK = ("0.4.24", "1.5.9")
WITH_VECTORS = (Part.RECORDS, Part.LEFTOVERS, Part.UNCERTAIN, Part.DELETED_VECTORS)


@dataclass(frozen=True)
class Before:
    """Before the damage: the elements used in each folder, and the vectors of a cosine collection, of length 1."""

    used: dict[str, int]
    unit_vectors: list[bytes]


def before_damage(path: Path) -> Before:
    headers = {folder.name: (folder / "header.bin").read_bytes() for folder in damage.folders(path)}
    used = {name: int.from_bytes(header[20:28], "little") for name, header in headers.items()}
    folder = damage.folder_of(path, "angular")
    content = (folder / "data_level0.bin").read_bytes()
    ends = range(damage.ELEMENT, damage.ELEMENT * used[folder.name] + 1, damage.ELEMENT)
    return Before(used, [content[end - 40 : end - 8] for end in ends])


def present(path: Path, before: Before) -> bytes:
    """The bytes in which vectors can be: those of the table, and the elements of the files."""
    files = (
        (folder / "data_level0.bin").read_bytes()[: damage.ELEMENT * before.used[folder.name]]
        for folder in damage.folders(path)
    )
    table = path / damage.TABLE
    return b"".join([table.read_bytes() if table.exists() else b"", *files])


def everything(found: Opened, part: Part) -> dict[str, Contents]:
    return {item.description.info.id: found.contents(item.description.info.name, part) for item in found.inventories}


def assert_every_vector_is_found(chroma: ChromaCopy, before: Before, found: Opened) -> None:
    """Every one whose bytes are still there; those of cosine collections have length 1 in the files."""
    parts = [everything(found, part) for part in WITH_VECTORS]
    contents = [contents for part in parts for contents in part.values()]
    vectors = [record[0] for records in contents for record in records.values()]
    content = present(chroma.path, before)
    packed = {np.array(vector, "<f4").tobytes() for vector in vectors}
    for name in ("plain", "queued"):
        for identifier, record in chroma.records(name).items():
            vector = np.array(record[0], "<f4").tobytes()
            assert vector in packed or vector not in content, (name, identifier)
    matrix = np.array([vector for vector in vectors if any(vector)])
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    units = [np.frombuffer(vector, "<f4") for vector in before.unit_vectors if vector in content]
    assert all((matrix @ unit).max() > 1 - 1e-6 for unit in units)


def check(chroma: ChromaCopy, harm: Callable[[Path], None], *, are_tables_whole: bool) -> None:
    before = before_damage(chroma.path)
    harm(chroma.path)
    with opened(chroma.path) as found:
        assert found.tables.is_recovered != are_tables_whole
        assert_every_vector_is_found(chroma, before, found)
        if are_tables_whole:
            for name in ("plain", "queued", "angular"):
                expected = chroma.records(name)
                certain, uncertain = found.contents(name), found.contents(name, Part.UNCERTAIN)
                contents = certain | uncertain | found.contents(name, Part.WITHOUT_VECTORS)
                assert contents.keys() == expected.keys()
                for identifier, record in contents.items():
                    assert record[1:] == expected[identifier][1:]
                    if identifier in certain and harm is not damage.lengths_gone:
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


@pytest.mark.parametrize("version", ["1.0.20", "1.5.9"])
def test_copies_of_operations_whose_page_was_cut_away(version: str, copy_of: Callable[[str], ChromaCopy]) -> None:
    """SQLite left them in a page that refers to others now; they are newer than the files, so they were not deleted."""
    chroma = copy_of(version)
    damage.table_cut(chroma.path)
    with opened(chroma.path) as found:
        expected = chroma.records("plain")
        names = [item.description.info.name for item in found.inventories]
        (contents,) = (found.contents(name) for name in names if len(found.contents(name)) > 60)
        assert {name: record[0] for name, record in contents.items()} == {
            name: record[0] for name, record in expected.items()
        }
        deleted = [found.contents(name, Part.DELETED_VECTORS) for name in names]
        assert sorted(map(len, deleted))[-2:] == [0, 9], "of a collection without files it is unknown what was deleted"


@pytest.mark.parametrize("harm", [damage.labels_gone, damage.labels_cut])
@pytest.mark.parametrize(("version", "is_ordered"), [("0.6.3", False), ("1.0.20", True), ("1.5.9", True)])
def test_lost_labels_follow_from_the_order(
    version: str, is_ordered: bool, harm: Callable[[Path], None], copy_of: Callable[[str], ChromaCopy]
) -> None:
    chroma = copy_of(version)
    harm(chroma.path)
    with opened(chroma.path) as found:
        parts = found.inventory("angular").parts
        assert (parts[Part.WITHOUT_VECTORS], parts[Part.LEFTOVERS]) == (0, 0) or not is_ordered
        for identifier, record in found.contents("angular").items():
            assert record[0] == pytest.approx(chroma.records("angular")[identifier][0], rel=1e-6, abs=1e-6)
        if not is_ordered:
            assert parts[Part.LEFTOVERS] > 10
        # Records of the other one were deleted since the files were written.
        assert found.inventory("plain").parts[Part.LEFTOVERS] > 10


def test_an_order_that_does_not_fit_is_not_used(copy_of: Callable[[str], ChromaCopy]) -> None:
    """A row is missing: every later label would get the id of another record."""
    chroma = copy_of("1.5.9")
    damage.labels_gone(chroma.path)
    with closing(sqlite3.connect(chroma.path / damage.TABLE)) as table:
        table.execute("DELETE FROM embeddings WHERE embedding_id = 'record-007'")
        table.commit()
    with opened(chroma.path) as found:
        parts = found.inventory("angular").parts
        assert (parts[Part.RECORDS], parts[Part.LEFTOVERS]) == (1, 41)


def test_a_damaged_vector_is_noticed(copy_of: Callable[[str], ChromaCopy]) -> None:
    """Of a cosine collection, or not a number; the others are what they were."""
    chroma = copy_of("1.5.9")
    for folder in damage.folders(chroma.path):
        content = bytearray((folder / "data_level0.bin").read_bytes())
        content[5 * damage.ELEMENT + 132 + 3] ^= 0x40
        content[6 * damage.ELEMENT + 132 : 6 * 172 + 136] = b"\x00\x00\xc0\x7f"
        (folder / "data_level0.bin").write_bytes(content)
    with opened(chroma.path) as found:
        angular, plain = found.inventory("angular"), found.inventory("plain")
        assert "2 of 41 elements are damaged" in angular.damage[0]
        assert angular.parts == {Part.RECORDS: 39, Part.WITHOUT_VECTORS: 2}
        assert "of 63 elements are damaged" in plain.damage[0]


@pytest.mark.parametrize("content", [None, {}, [1, 2], {"dimensionality": 8}])
def test_a_label_map_without_a_map_is_lost(content: object, copy_of: Callable[[str], ChromaCopy]) -> None:
    """A sound pickle of something else is no newer map that lacks every record."""
    chroma = copy_of("1.5.9")
    for folder in damage.folders(chroma.path):
        if (folder / "index_metadata.pickle").exists():
            (folder / "index_metadata.pickle").write_bytes(pickle.dumps(content))
    with opened(chroma.path) as found:
        assert found.inventory("angular").parts == {Part.RECORDS: 41}
        assert "the ids of 41 vectors were found by the order of insertion" in found.inventory("angular").damage[1]
        assert found.inventory("plain").parts[Part.LEFTOVERS] > 10


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_bytes(b"")])
def test_lost_links_are_named_and_lose_no_vector(
    change: Callable[[Path], object], copy_of: Callable[[str], ChromaCopy]
) -> None:
    chroma = copy_of("1.5.9")
    for folder in damage.folders(chroma.path):
        change(folder / "link_lists.bin")
    with opened(chroma.path) as found:
        assert_equal(found.contents("plain"), chroma.records("plain"))
        assert "link_lists.bin is missing or cut" in found.inventory("plain").damage[0]
        assert not found.inventory("empty").damage


@pytest.mark.parametrize("lost", ["scope = 'VECTOR'", "true"])
@pytest.mark.parametrize("version", ["0.6.3", "1.5.9"])
def test_a_folder_without_its_row_belongs_to_the_collection_of_its_ids(
    version: str, lost: str, copy_of: Callable[[str], ChromaCopy]
) -> None:
    chroma = copy_of(version)
    folder = damage.folder_of(chroma.path, "angular")
    with closing(sqlite3.connect(chroma.path / damage.TABLE)) as table:
        collection = "(SELECT id FROM collections WHERE name = 'angular')"
        table.execute(f"DELETE FROM segments WHERE collection = {collection} AND {lost}")
        table.commit()
    with opened(chroma.path) as found:
        assert_equal(found.contents("angular"), chroma.records("angular"))
        assert f"the row of the folder {folder.name} is lost" in found.inventory("angular").damage[0]


def test_a_folder_whose_ids_two_collections_have_is_of_neither(copy_of: Callable[[str], ChromaCopy]) -> None:
    """All collections have the ids record-000, record-001, …, and no row says which folder is whose."""
    chroma = copy_of("1.5.9")
    with closing(sqlite3.connect(chroma.path / damage.TABLE)) as table:
        table.execute("DELETE FROM segments WHERE scope = 'VECTOR'")
        table.commit()
    with opened(chroma.path) as found:
        records = found.contents("plain")
        expected = chroma.records("plain")
        assert all(record[0] == pytest.approx(expected[name][0], rel=1e-6) for name, record in records.items())
        assert sum("belongs to no collection" in text for item in found.inventories for text in item.damage) >= 2


def test_damaged_lengths_are_counted(copy_of: Callable[[str], ChromaCopy]) -> None:
    chroma = copy_of("1.5.9")
    path = damage.folder_of(chroma.path, "angular") / "length.bin"
    lengths = np.fromfile(path, "<f4")
    lengths[:3] = np.nan, -1, 0
    lengths.tofile(path)
    with opened(chroma.path) as found:
        assert found.inventory("angular").damage == [
            f"{path.parent.name}/length.bin is damaged: 3 vectors have length 1"
        ]
        assert len(found.contents("angular")) == 41


@pytest.mark.parametrize("version", ["0.6.3", "1.5.9"])
def test_a_wrong_dimension_in_the_row_is_outvoted(version: str, copy_of: Callable[[str], ChromaCopy]) -> None:
    """By the operations of the queue and the files, which agree on another."""
    chroma = copy_of(version)
    with closing(sqlite3.connect(chroma.path / damage.TABLE)) as table:
        table.execute("UPDATE collections SET dimension = 5")
        table.commit()
    with opened(chroma.path) as found:
        assert_equal(found.contents("plain"), chroma.records("plain"))
        description = found.inventory("plain").description
        assert description.info.dimension == 8
        assert "the dimension 5 of its row is wrong: its vectors have 8" in found.inventory("plain").damage


def test_index_settings_that_cannot_be_read_are_left_out(copy_of: Callable[[str], ChromaCopy]) -> None:
    """In the metadata, as until Chroma 0.6: a collection with them could not be created."""
    chroma = copy_of("1.5.9")
    with closing(sqlite3.connect(chroma.path / damage.TABLE)) as table:
        (collection,) = table.execute("SELECT id FROM collections WHERE name = 'plain'").fetchone()
        values = [(collection, key, text) for key, text in (("hnsw:space", "l3"), ("hnsw:Lpace", "l2"), ("about", "x"))]
        table.executemany(
            "INSERT OR REPLACE INTO collection_metadata (collection_id, key, str_value) VALUES (?, ?, ?)", values
        )
        table.commit()
    with opened(chroma.path) as found:
        description = found.inventory("plain").description
        assert not any(key.startswith("hnsw:") for key in description.info.metadata or {})
        assert (description.info.metadata or {})["about"] == "x"
        assert description.damage == ["the configuration is not readable: the default is used"]
        assert create_request(description.info)


@pytest.mark.parametrize("value", [None, b"\xff\x00", 7, ""])
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("collections", "name"),
        ("collection_metadata", "key"),
        ("segments", "id"),
        ("segments", "scope"),
        ("max_seq_id", "segment_id"),
        ("embeddings", "embedding_id"),
        ("embeddings_queue", "id"),
        ("embeddings_queue", "topic"),
        ("embedding_metadata", "key"),
        ("embedding_metadata", "string_value"),
        ("embedding_metadata", "int_value"),
    ],
)
def test_values_of_other_types(table: str, column: str, value: object, copy_of: Callable[[str], ChromaCopy]) -> None:
    """SQLite holds any value in any column, and finds no fault in it."""
    chroma = copy_of("1.5.9")
    with closing(sqlite3.connect(chroma.path / damage.TABLE)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid % 2", [value])
        connection.commit()
    with opened(chroma.path) as found:
        contents = [everything(found, part) for part in (Part.RECORDS, Part.WITHOUT_VECTORS)]
        records = {name for part in contents for collection in part.values() for name in collection}
        assert all(type(name) is str for name in records)
        assert len(records) > 10


def test_operations_in_a_log_of_sqlite_are_read(copy_of: Callable[[str], ChromaCopy], tmp_path: Path) -> None:
    chroma = copy_of("1.5.9")
    with closing(sqlite3.connect(chroma.path / damage.TABLE)) as table:
        table.execute("PRAGMA journal_mode = WAL")
        table.execute("DELETE FROM embeddings_queue WHERE id = 'record-004'")
        table.execute("UPDATE embedding_metadata SET string_value = 'from the log' WHERE string_value = 'changed'")
        table.commit()
        shutil.copytree(chroma.path, tmp_path / "copy")
    (tmp_path / "copy" / f"{damage.TABLE}-shm").unlink()
    with opened(tmp_path / "copy") as found:
        assert found.contents("plain")["record-005"][1] == "from the log"
        assert not (tmp_path / "copy" / f"{damage.TABLE}-shm").exists()
