"""Ways to damage a Chroma directory."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

TABLE = "chroma.sqlite3"
PAGE = 4096
ELEMENT = 172
"""Bytes of a page, and of an element of the HNSW files with 8 dimensions."""


def folders(path: Path) -> list[Path]:
    """The folders of HNSW files, by name."""
    return sorted(folder for folder in path.iterdir() if folder.is_dir())


def folder_of(path: Path, collection: str) -> Path:
    """The folder of a collection's HNSW files."""
    query = "SELECT s.id FROM segments s JOIN collections c ON collection = c.id WHERE name = ? AND scope = 'VECTOR'"
    with closing(sqlite3.connect(path / TABLE)) as table:
        ((segment,),) = table.execute(query, [collection]).fetchall()
    return path / str(segment)


def folder_gone(path: Path) -> None:
    for folder in folders(path):
        shutil.rmtree(folder)


def _change_files(path: Path, name: str, change: Callable[[Path], object]) -> None:
    for folder in folders(path):
        if (folder / name).exists():
            change(folder / name)


def vectors_cut(path: Path) -> None:
    _change_files(path, "data_level0.bin", lambda file: file.write_bytes(file.read_bytes()[: ELEMENT * 25 + 100]))


def header_gone(path: Path) -> None:
    _change_files(path, "header.bin", Path.unlink)


def header_zeroed(path: Path) -> None:
    _change_files(path, "header.bin", lambda file: file.write_bytes(bytes(100)))


def header_flipped(path: Path) -> None:
    """Another size of the elements."""

    def flip(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[28] ^= 4
        file.write_bytes(content)

    _change_files(path, "header.bin", flip)


def labels_gone(path: Path) -> None:
    _change_files(path, "index_metadata.pickle", Path.unlink)


def labels_cut(path: Path) -> None:
    _change_files(
        path, "index_metadata.pickle", lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    )


def labels_flipped(path: Path) -> None:
    def flip(file: Path) -> None:
        content = bytearray(file.read_bytes())
        for place in range(300, len(content), 400):
            content[place] ^= 0x55
        file.write_bytes(content)

    _change_files(path, "index_metadata.pickle", flip)


def lengths_gone(path: Path) -> None:
    _change_files(path, "length.bin", Path.unlink)


def table_gone(path: Path) -> None:
    (path / TABLE).unlink()


def table_cut(path: Path) -> None:
    content = (path / TABLE).read_bytes()
    (path / TABLE).write_bytes(content[: len(content) * 7 // 10 + 100])


def table_head_lost(path: Path) -> None:
    with (path / TABLE).open("r+b") as file:
        file.write(b"\xff" * PAGE)


def table_pages_lost(path: Path) -> None:
    """Every ninth page is overwritten."""
    with (path / TABLE).open("r+b") as file:
        for page in range(5, (path / TABLE).stat().st_size // PAGE, 9):
            file.seek(page * PAGE)
            file.write(random.Random(page).randbytes(PAGE))


def table_trees_lost(path: Path) -> None:
    """No page that refers to others can be read: the rows are in the leaves."""
    content = bytearray((path / TABLE).read_bytes())
    for start in range(PAGE, len(content), PAGE):
        if content[start] in (2, 5):
            content[start : start + 200] = bytes(200)
    (path / TABLE).write_bytes(content)


def queue_only(path: Path) -> None:
    """All that is left is the queue: no files, no records, no segments."""
    folder_gone(path)
    with closing(sqlite3.connect(path / TABLE)) as table:
        for name in ("embeddings", "embedding_metadata", "segments", "max_seq_id", "collections"):
            table.execute(f"DROP TABLE {name}")
        table.commit()


FILES: list[Callable[[Path], None]] = [
    folder_gone,
    vectors_cut,
    header_gone,
    header_zeroed,
    header_flipped,
    labels_gone,
    labels_cut,
    labels_flipped,
    lengths_gone,
]
TABLES: list[Callable[[Path], None]] = [
    table_gone,
    table_cut,
    table_head_lost,
    table_pages_lost,
    table_trees_lost,
    queue_only,
]
