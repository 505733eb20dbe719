"""A Chroma directory as the source of a migration: the collections of its inventories."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from afterglow.bulk.chroma_directory import contents, deleted_vectors, inventory
from afterglow.bulk.chroma_directory.descriptions import describe, load_operations
from afterglow.bulk.chroma_directory.hnsw_files import folders
from afterglow.bulk.chroma_directory.parts import SUFFIXES, Inventory, Part
from afterglow.bulk.chroma_directory.tables import TABLE, Tables, open_tables
from afterglow.bulk.endpoint import ALL_FIELDS, CollectionInfo, RecordStream
from afterglow.collection.types import Include, Records
from afterglow.errors import NotFound


@dataclass(frozen=True, slots=True)
class _Share:
    inventory: Inventory
    part: Part


class DirectorySource:
    """The records of a directory.

    `further` parts become collections of their own: `NAME.uncertain`, `NAME.leftovers`, `NAME.deleted`.
    """

    def __init__(self, tables: Tables, inventories: Sequence[Inventory], further: Sequence[Part] = ()) -> None:
        self.tables = tables
        self.inventories = inventories
        self._shares: dict[str, _Share] = {}
        self._infos: list[CollectionInfo] = []
        for item in inventories:
            info = replace(item.description.info, dimension=item.dimension if item.parts[Part.RECORDS] else None)
            if item.description.is_known or item.parts[Part.RECORDS]:
                self._add(info, _Share(item, Part.RECORDS))
            for part in further:
                if item.parts[part]:
                    self._add(further_info(item, part), _Share(item, part))

    def _add(self, info: CollectionInfo, share: _Share) -> None:
        self._infos.append(info)
        self._shares[info.id] = share

    def tenants(self) -> list[str]:
        """Every tenant with a collection."""
        return sorted({info.tenant for info in self._infos})

    def databases(self, tenant: str) -> list[str]:
        """The tenant's databases with a collection."""
        return sorted({info.database for info in self._infos if info.tenant == tenant})

    def collections(self, tenant: str, database: str) -> list[CollectionInfo]:
        """The database's collections, by name."""
        found = [info for info in self._infos if (info.tenant, info.database) == (tenant, database)]
        return sorted(found, key=lambda info: info.name)

    def count(self, collection: CollectionInfo) -> int:
        """The number of its records."""
        share = self._shares[collection.id]
        return share.inventory.parts[share.part]

    def read(
        self, collection: CollectionInfo, include: frozenset[Include] = ALL_FIELDS, offset: int = 0
    ) -> RecordStream:
        """Its records from `offset` on; all fields or none."""
        share = self._shares[collection.id]
        return read_part(self.tables, share.inventory, share.part, offset, ids_only=not include)

    def get(self, collection: CollectionInfo, ids: Sequence[str]) -> Records:
        """The existing ones of these records."""
        share = self._shares[collection.id]
        return contents.read_ids(self.tables, share.inventory, share.part, ids)


def further_info(item: Inventory, part: Part) -> CollectionInfo:
    """The collection of a further part."""
    info, suffix = item.description.info, SUFFIXES[part]
    return replace(info, id=info.id + suffix, name=info.name + suffix, dimension=item.dimension)


def read_part(tables: Tables, item: Inventory, part: Part, offset: int = 0, *, ids_only: bool = False) -> RecordStream:
    """The records of a part from `offset` on."""
    pages = contents.read_pages(tables, item, part, offset, ids_only=ids_only)
    return RecordStream(max(0, item.parts[part] - offset), pages)


@contextmanager
def open_directory(path: Path, *, deleted: bool = False) -> Iterator[tuple[Tables, list[Inventory]]]:
    """The tables of a directory, and the inventory of each collection; with `deleted` also of deleted vectors.

    These are always looked for in damaged tables: a row that nothing refers to may be the copy of one that is lost.
    Raises NotFound, OSError, StorageFull.
    """
    if not path.is_dir():
        raise NotFound(f"{path} is not a directory")
    if not (path / TABLE).is_file() and not folders(path, ()):
        raise NotFound(f"{path}: not a directory of Chroma: it has neither {TABLE} nor HNSW files")
    with open_tables(path) as tables:
        load_operations(tables)
        inventory.create_tables(tables)
        deleted = deleted or tables.is_recovered
        if deleted:
            deleted_vectors.load(tables)
        descriptions = describe(tables, path, deleted_vectors.collections(tables) if deleted else ())
        yield (
            tables,
            [inventory.take(tables, path, item, is_deleted_requested=deleted) for item in descriptions],
        )
