"""Vectors are found in rows that Chroma or a user deleted, and used only where no user deleted them."""

import random
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from afterglow.bulk.chroma_directory.parts import Origin, Part
from afterglow.bulk.chroma_directory.sqlite_pages import LEAF
from tests.bulk.chroma_directory import damage
from tests.bulk.chroma_directory.conftest import ChromaCopy, Contents, opened

Copies = Callable[[str], ChromaCopy]


def execute(path: Path, *statements: str) -> None:
    """As a SQLite does that was not built to erase what it deletes."""
    with closing(sqlite3.connect(path / damage.TABLE)) as table:
        table.execute("PRAGMA secure_delete = OFF")
        for statement in statements:
            table.execute(statement)
        table.commit()


def queued(path: Path) -> int:
    with closing(sqlite3.connect(path / damage.TABLE)) as table:
        return int(table.execute("SELECT count(*) FROM embeddings_queue").fetchone()[0])


def equal(found: Contents, expected: Contents) -> set[str]:
    """The ids of the records that are the same; embeddings of cosine collections are products."""
    return {
        name
        for name, record in found.items()
        if record[1:] == expected[name][1:] and record[0] == pytest.approx(expected[name][0], rel=1e-6, abs=1e-6)
    }


def test_a_purged_queue_has_the_vectors_of_lost_files(copy_of: Copies) -> None:
    chroma = copy_of("0.4.24")  # purges nothing itself, so every operation is still there
    damage.folder_gone(chroma.path)
    execute(chroma.path, "DELETE FROM embeddings_queue")
    with opened(chroma.path) as found:
        for name in ("plain", "angular", "queued"):
            expected = chroma.records(name)
            assert equal(found.contents(name), expected) == expected.keys()
            assert found.inventory(name).origins == {Origin.UNUSED: len(expected)}
            assert not found.inventory(name).parts[Part.DELETED_VECTORS]
        # The last operation of each record is known by its number.
        assert "65 vectors are from deleted rows of the queue; 0 of them may be older" in str(
            found.inventory("plain").damage
        )


def test_rows_deleted_one_by_one(copy_of: Copies) -> None:
    """As Chroma deletes them: the first bytes of some are overwritten, and with them their number."""
    chroma = copy_of("0.4.24")
    damage.folder_gone(chroma.path)
    execute(chroma.path, "DELETE FROM embeddings_queue WHERE seq_id < 100")
    content = (chroma.path / damage.TABLE).read_bytes()
    with opened(chroma.path) as found:
        for name in ("plain", "queued"):
            expected, records = chroma.records(name), found.contents(name)
            assert equal(records, expected) == records.keys()
            whole = {key for key, (vector, *_) in expected.items() if is_row_whole(content, key, vector)}
            assert whole <= records.keys()
            assert whole or name == "queued"
            assert len(records) > len(expected) // 2


def is_row_whole(content: bytes, name: str, vector: list[float]) -> bool:
    """Whether the bytes of an operation are there, from the types of its columns to its vector."""
    types = re.escape(bytes([13 + 2 * len(name), 12 + 8 * len(vector)]))
    values = re.escape(name.encode() + np.array(vector, "<f4").tobytes())
    topic = rb"\x81\x0f"
    pattern = rb"\x33[\x01\x08\x09]" + topic + types + rb"\x1b..?\d{4}-.{14}.?persistent://.{52}" + values
    return re.search(pattern, content, re.DOTALL) is not None


def test_deleted_records_are_saved_only_on_demand(copy_of: Copies) -> None:
    chroma = copy_of("0.4.24")
    damage.folder_gone(chroma.path)
    execute(chroma.path, "DELETE FROM embeddings_queue")
    with opened(chroma.path) as found:
        assert found.inventory("plain").parts.keys() <= {Part.RECORDS, Part.DELETED, Part.WITHOUT_VECTORS}
    with opened(chroma.path, deleted=True) as found:
        deleted = found.contents("plain", Part.DELETED_VECTORS)
        assert deleted.keys() == {"record-003", "record-050"}
        assert deleted["record-003"][1] == "document 3 of “1”"
        assert deleted["record-003"][2]["word"] == "wörd 3"
        assert found.contents("queued", Part.DELETED_VECTORS).keys() == {"record-004"}
        assert found.contents("plain").keys() == chroma.records("plain").keys()


def test_a_deleted_collection(copy_of: Copies) -> None:
    chroma = copy_of("0.4.24")
    execute(
        chroma.path,
        "DELETE FROM embeddings_queue",
        "DELETE FROM collections WHERE name = 'queued'",
        "DELETE FROM segments WHERE collection NOT IN (SELECT id FROM collections)",
        "DELETE FROM embeddings WHERE segment_id NOT IN (SELECT id FROM segments)",
    )
    with opened(chroma.path, deleted=True) as found:
        unknown = next(item for item in found.inventories if not item.description.is_known and item.dimension)
        deleted = found.contents(unknown.description.info.name, Part.DELETED_VECTORS)
        assert chroma.records("queued").items() <= deleted.items()


def test_a_record_that_was_deleted_and_added_again(copy_of: Copies) -> None:
    """The vector of its earlier life is not taken for its own."""
    chroma = copy_of("0.4.24")
    damage.folder_gone(chroma.path)
    execute(
        chroma.path,
        "UPDATE embeddings_queue SET created_at = '2020-01-01 00:00:00'",
        "INSERT INTO embeddings_queue (operation, topic, id, created_at) SELECT 3, topic, id, '2020-01-01 00:00:01' "
        "FROM embeddings_queue WHERE id = 'record-010'",
    )
    execute(chroma.path, "DELETE FROM embeddings_queue")
    with opened(chroma.path) as found:
        assert found.contents("plain", Part.WITHOUT_VECTORS).keys() == {"record-010"}


@pytest.mark.parametrize("header", [b"\x05", bytes(200), b"\xff" * 16])
def test_leaves_without_a_header(header: bytes, copy_of: Copies) -> None:
    """A single bit makes a leaf a page that refers to others; the list of its cells may be lost as a whole."""
    chroma = copy_of("0.4.24")
    damage.folder_gone(chroma.path)
    file = chroma.path / damage.TABLE
    content = bytearray(file.read_bytes())
    for start in range(damage.PAGE, len(content), damage.PAGE):
        page = content[start : start + damage.PAGE]
        if page[0] == LEAF and page.count(b"FLOAT32persistent") + page.count(b"persistent://") > 5:
            content[start : start + len(header)] = header
    file.write_bytes(content)
    with opened(chroma.path) as found:
        assert found.tables.is_recovered
        for name in ("plain", "queued", "angular"):
            expected = chroma.records(name)
            contents = found.contents(name)
            missing = expected.keys() - contents.keys()
            assert len(missing) <= (8 if len(header) == 200 else 0)
            assert all(record[0] == pytest.approx(expected[key][0], rel=1e-6) for key, record in contents.items())


def test_a_damaged_free_list_hides_no_rows(copy_of: Copies) -> None:
    """Its first page is one with rows, or lists pages with rows."""
    chroma = copy_of("0.4.24")
    damage.folder_gone(chroma.path)
    file = chroma.path / damage.TABLE
    with closing(sqlite3.connect(file)) as table:
        (root,) = table.execute("SELECT rootpage FROM sqlite_master WHERE name = 'max_seq_id'").fetchone()
    content = bytearray(file.read_bytes())
    content[(root - 1) * damage.PAGE : root * damage.PAGE] = b"\xff" * damage.PAGE  # makes SQLite give up
    pages = range(2, len(content) // damage.PAGE + 1)
    leaves = [page for page in pages if content[(page - 1) * damage.PAGE] == LEAF]
    trunk = b"".join(number.to_bytes(4, "big") for number in (0, len(leaves), *leaves))
    for first in (leaves[-1], pages.stop):
        content[32:36] = first.to_bytes(4, "big")
        file.write_bytes(content + trunk.ljust(damage.PAGE, b"\0"))
        with opened(chroma.path) as found:
            assert found.tables.is_recovered
            for name in ("plain", "queued", "angular"):
                assert found.contents(name).keys() == chroma.records(name).keys()


@pytest.mark.slow
def test_every_flip_is_survived(copy_of: Copies, tmp_path: Path) -> None:
    chroma = copy_of("0.4.24")
    damage.folder_gone(chroma.path)
    execute(chroma.path, "DELETE FROM embeddings_queue WHERE seq_id < 100")
    content = (chroma.path / damage.TABLE).read_bytes()
    numbers = random.Random(1)
    for round_ in range(12):
        changed = bytearray(content)
        for _ in range(200):
            place = numbers.randrange(len(changed))
            changed[place] ^= 1 << numbers.randrange(8)
        folder = tmp_path / str(round_)
        folder.mkdir()
        (folder / damage.TABLE).write_bytes(changed)
        with opened(folder, deleted=True) as found:
            for item in found.inventories:
                for part in (Part.RECORDS, Part.DELETED_VECTORS, Part.WITHOUT_VECTORS, Part.LEFTOVERS):
                    assert len(found.contents(item.description.info.name, part)) == item.parts[part]


def test_work_is_what_the_file_has(copy_of: Copies) -> None:
    """A sound directory is not searched for deleted rows unless that is asked for."""
    with opened(copy_of("1.5.9").path) as found:
        assert not found.tables.count("SELECT count(*) FROM sqlite_master WHERE name = 'deleted_operations'")
        assert queued(found.tables.file.parent if found.tables.file else Path()) == 23
