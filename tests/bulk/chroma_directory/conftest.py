"""Directories that each generation of Chroma has written (see `make`), and what it returned of them."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afterglow.bulk.chroma_directory.parts import Inventory, Part
from afterglow.bulk.chroma_directory.source import DirectorySource, open_directory, read_part
from afterglow.bulk.chroma_directory.tables import Tables
from tests.bulk.chroma_directory.make import ARCHIVE

Contents = dict[str, list[Any]]
"""Embedding, document and metadata by id."""


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chroma")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(path, filter="data")
    return path


@dataclass(frozen=True)
class ChromaCopy:
    """A copy of a directory, to be damaged, and what Chroma returned of it."""

    path: Path
    expected: dict[str, Any]

    def records(self, collection: str) -> Contents:
        found: Contents = self.expected[collection]["records"]
        return found


@pytest.fixture
def copy_of(originals: Path, tmp_path: Path) -> Callable[[str], ChromaCopy]:
    def copy(version: str) -> ChromaCopy:
        path = tmp_path / f"chroma-{version}"
        shutil.copytree(originals / version, path)
        return ChromaCopy(path, json.loads((originals / f"{version}.json").read_text()))

    return copy


@dataclass(frozen=True)
class Opened:
    """An open directory."""

    tables: Tables
    inventories: list[Inventory]

    def inventory(self, name: str) -> Inventory:
        return next(item for item in self.inventories if item.description.info.name == name)

    def contents(self, name: str, part: Part = Part.RECORDS) -> Contents:
        found: Contents = {}
        for page in read_part(self.tables, self.inventory(name), part).pages:
            for index, identifier in enumerate(page.ids):
                assert page.documents is not None
                assert page.metadatas is not None
                assert identifier not in found
                embedding = None if page.embeddings is None else page.embeddings[index].tolist()
                metadata = page.metadatas[index]
                found[identifier] = [embedding, page.documents[index], metadata and json.loads(metadata)]
        return found

    def source(self, *further: Part) -> DirectorySource:
        return DirectorySource(self.tables, self.inventories, further)


@contextmanager
def opened(path: Path, *, deleted: bool = False) -> Iterator[Opened]:
    """Open a directory; no byte of it may change."""
    before = fingerprint(path)
    with open_directory(path, deleted=deleted) as (tables, inventories):
        yield Opened(tables, inventories)
    assert fingerprint(path) == before


def fingerprint(path: Path) -> dict[str, tuple[int, str]]:
    """Time and hash of every file."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file): (file.stat().st_mtime_ns, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files}


def assert_equal(found: Contents, expected: Contents) -> None:
    """The same records; embeddings as float32, those of cosine collections are products."""
    assert found.keys() == expected.keys()
    for identifier, (embedding, document, metadata) in expected.items():
        assert found[identifier][0] == pytest.approx(embedding, rel=1e-6, abs=1e-6)
        assert found[identifier][1:] == [document, metadata]
