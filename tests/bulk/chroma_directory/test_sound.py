"""A sound directory of each generation yields what the Chroma that wrote it returned."""

from collections.abc import Callable
from pathlib import Path

import pytest

from afterglow.bulk.chroma_directory.parts import Origin, Part
from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.bulk.migrate import MigrationFilter, migrate
from afterglow.errors import NotFound
from tests.bulk.chroma_directory.conftest import ChromaCopy, assert_equal, opened
from tests.bulk.chroma_directory.make import VERSIONS

NAMES = ("angular", "empty", "plain", "queued")
SPACES = {"angular": "cosine", "empty": "l2", "plain": "l2", "queued": "ip"}


@pytest.mark.parametrize("version", VERSIONS)
def test_contents(version: str, copy_of: Callable[[str], ChromaCopy]) -> None:
    chroma = copy_of(version)
    with opened(chroma.path) as found:
        assert not found.tables.damage
        assert sorted(item.description.info.name for item in found.inventories) == list(NAMES)
        for item in found.inventories:
            info = item.description.info
            assert (item.damage, info.metadata) == ([], chroma.expected[info.name]["metadata"])
            assert item.parts.keys() <= {Part.RECORDS, Part.DELETED}
            assert item.description.space == SPACES[info.name]
            assert_equal(found.contents(info.name), chroma.records(info.name))
        origins = found.inventory("plain").origins
        # Until 0.5 Chroma removes nothing from the queue.
        assert origins[Origin.FILES] > 50 or version == "0.4.24"
        assert origins[Origin.QUEUE] > 1
        assert found.inventory("queued").origins == {Origin.QUEUE: 11}


@pytest.mark.parametrize("version", ["0.6.3", "1.5.9"])
def test_migration(version: str, copy_of: Callable[[str], ChromaCopy], local: LocalEndpoint) -> None:
    chroma = copy_of(version)
    with opened(chroma.path) as found:
        for _ in range(2):  # the second time continues after the last record
            reports = list(migrate(found.source(), local, MigrationFilter(), lambda *_: None))
            assert {item.collection.name: (item.records, item.differences) for item in reports} == {
                name: (len(chroma.records(name)), []) for name in NAMES
            }
    assert local.collections("default_tenant", "default_database")[0].configuration["hnsw"]["space"] == "cosine"


def test_other_directories_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not a directory of Chroma"), opened(tmp_path):
        pass
    with pytest.raises(NotFound, match="is not a directory"), opened(tmp_path / "none"):
        pass
