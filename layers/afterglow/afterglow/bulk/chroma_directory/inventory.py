"""Decides for every record of a collection where its vector is, and writes that into the scratch database.

Only ids, labels and positions are read here; `contents` reads vectors, documents and metadata by what is written.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from afterglow.bulk.chroma_directory import deleted_vectors, elements, hnsw_files
from afterglow.bulk.chroma_directory.descriptions import Description
from afterglow.bulk.chroma_directory.label_map import LabelMap
from afterglow.bulk.chroma_directory.operations import ADD, Operation, State, replay
from afterglow.bulk.chroma_directory.parts import Inventory, Origin, Part
from afterglow.bulk.chroma_directory.tables import Tables, decode_seq

_PAGE_ROWS = 500
_COLUMNS = (
    "number INTEGER PRIMARY KEY, collection, id, part INTEGER, origin INTEGER, segment, place INTEGER, "
    "row INTEGER, applied INTEGER, UNIQUE (collection, part, number), UNIQUE (collection, id)"
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row of the inventory."""

    id: str
    part: Part
    origin: Origin = Origin.NOWHERE
    segment: str | None = None
    place: int | None = None
    row: int | None = None
    applied: int = -1


@dataclass(frozen=True, slots=True)
class _Element:
    segment: str
    row: int


def create_tables(tables: Tables) -> None:
    """The tables of the inventory, in the scratch database."""
    elements.create_tables(tables)
    tables.connection.execute(f"CREATE TABLE inventory ({_COLUMNS})")


def take(tables: Tables, directory: Path, description: Description, *, is_deleted_requested: bool) -> Inventory:
    """Write the rows of one collection. Raises OSError."""
    inventory = Inventory(description, damage=list(description.damage))
    tables.connection.execute("BEGIN")
    _Builder(tables, directory, inventory).build(is_deleted_requested=is_deleted_requested)
    tables.connection.execute("COMMIT")
    return inventory


class _Builder:
    def __init__(self, tables: Tables, directory: Path, inventory: Inventory) -> None:
        self._tables = tables
        self._connection = tables.connection
        self._directory = directory
        self._inventory = inventory
        self._collection = inventory.description.info.id
        self._applied = tables.max_seq(inventory.description.records)
        self._indexed: dict[str, int] = {}

    def build(self, *, is_deleted_requested: bool) -> None:
        """Fill the inventory of the collection."""
        inventory = self._inventory
        maps = {
            segment: elements.load_labels(self._tables, self._directory / segment, inventory.damage)
            for segment in inventory.description.vectors
        }
        inventory.dimension = self._find_dimension(maps.values())
        for segment, labels in maps.items():
            self._load_elements(segment, labels)
        if inventory.dimension is None:
            dimensions = (files.layout.dimension for files in inventory.files.values() if files.layout is not None)
            inventory.dimension = next(dimensions, None)
        indexed = max(self._indexed.values(), default=-1)
        if self._tables.is_recovered and indexed >= 0:
            deleted_vectors.restore_queue(self._tables, self._collection, indexed)
        for entries in (self._listed(), self._queued(), self._labelled()):
            self._write(entries)
        self._write(self._unclaimed())
        deleted_vectors.use_for_records(self._tables, inventory)
        for segment in inventory.files:
            elements.move_uncertain(self._tables, segment, inventory)
        if is_deleted_requested:
            deleted_vectors.add_deleted(self._tables, inventory)
        self._tally()
        self._report_damage()

    def _tally(self) -> None:
        rows = self._connection.execute(
            "SELECT part, origin, count(*) FROM inventory WHERE collection = ? GROUP BY part, origin",
            [self._collection],
        )
        for part, origin, count in rows:
            self._inventory.parts[Part(part)] += count
            if part in (Part.RECORDS, Part.UNCERTAIN):
                self._inventory.origins[Origin(origin)] += count

    def _load_elements(self, segment: str, labels: LabelMap | None) -> None:
        loaded = elements.load_elements(
            self._tables, self._directory / segment, self._inventory.description, self._inventory.dimension, labels
        )
        self._inventory.files[segment] = loaded.files
        self._inventory.damage += loaded.damage
        self._inventory.is_mixed |= loaded.is_mixed
        self._indexed[segment] = loaded.max_seq

    def _find_dimension(self, maps: Iterable[LabelMap | None]) -> int | None:
        """The dimension by the collection's row, else by most operations, else by the files; two outvote the row."""
        description = self._inventory.description
        stored = description.info.dimension
        row = self._connection.execute(
            "SELECT dimension FROM operations WHERE collection = ? AND dimension > 0 GROUP BY dimension "
            "ORDER BY count(*) DESC LIMIT 1",
            [self._collection],
        ).fetchone()
        queued = None if row is None else int(row[0])
        mapped = next((labels.dimension for labels in maps if labels is not None and labels.dimension), None)
        folders = (self._directory / segment for segment in description.vectors)
        mapped = mapped or next(filter(None, map(hnsw_files.header_dimension, folders)), None)
        if stored is not None and queued is not None and stored != queued == mapped:
            self._inventory.damage.append(f"the dimension {stored} of its row is wrong: its vectors have {queued}")
            description.info = replace(description.info, dimension=queued)
            return queued
        return stored or queued or mapped

    def _listed(self) -> Iterator[_Entry]:
        """The records of the tables."""
        records = self._inventory.description.records
        if not records or not self._tables.has_records:
            return
        marks = ", ".join("?" * len(records))
        rest = f"WHERE segment_id IN ({marks}) ORDER BY id"
        rows = self._tables.select("embeddings", ("embedding_id", "id", "seq_id"), rest, tuple(records))
        while page := rows.fetchmany(_PAGE_ROWS):
            names = [name for name, *_ in page]
            operations, elements = self._operations(names), self._elements(names)
            for name, row, seq in page:
                row_seq = decode_seq(seq)
                applied = max(self._applied, row_seq)
                history = [
                    item for item in operations[name] if not (item.kind == ADD and row_seq < item.seq <= self._applied)
                ]
                if not replay(history, is_present=True, after=applied).is_present:
                    yield _Entry(name, Part.DELETED)
                    continue
                found = self._locate(name, replay(history, is_present=None), elements.get(name))
                part = Part.RECORDS if found.origin is not Origin.NOWHERE else Part.WITHOUT_VECTORS
                yield replace(found, part=part, row=row, applied=applied)

    def _queued(self) -> Iterator[_Entry]:
        """Ids of the queue that the tables do not list."""
        query = (
            "SELECT o.id FROM operations o WHERE o.collection = ? AND NOT EXISTS (SELECT 1 FROM inventory i "
            "WHERE i.collection = o.collection AND i.id = o.id) GROUP BY o.id ORDER BY min(o.seq)"
        )
        for names in self._pages(query, self._collection):
            operations, elements = self._operations(names), self._elements(names)
            for name in names:
                element = elements.get(name)
                whole = replay(operations[name], is_present=None)
                is_new = replay(operations[name], is_present=False, after=self._applied).is_present
                is_new = is_new or (self._tables.is_recovered and whole.is_present)
                found = self._locate(name, whole, element)
                if is_new:
                    part = Part.RECORDS if found.origin is not Origin.NOWHERE else Part.WITHOUT_VECTORS
                else:
                    part = Part.LEFTOVERS if whole.is_present and found.place is not None else Part.DELETED
                yield replace(found, part=part)

    def _labelled(self) -> Iterator[_Entry]:
        """Ids that only the label map has: records whose rows are lost, or that no longer exist."""
        part = Part.RECORDS if self._tables.is_recovered else Part.LEFTOVERS
        for segment in self._inventory.files:
            query = (
                "SELECT a.id FROM assigned a WHERE a.segment = ? AND NOT EXISTS (SELECT 1 FROM inventory i "
                "WHERE i.collection = ? AND i.id = a.id) ORDER BY a.label"
            )
            for names in self._pages(query, segment, self._collection):
                elements = self._elements(names)
                for name in names:
                    yield replace(self._locate(name, State(), elements[name]), part=part)

    def _unclaimed(self) -> Iterator[_Entry]:
        """Vectors whose label no id has."""
        for segment in self._inventory.files:
            rows = self._connection.execute(
                "SELECT e.label, e.place, EXISTS (SELECT 1 FROM elements o WHERE o.segment = e.segment "
                "AND o.label = e.label AND o.place < e.place) FROM elements e WHERE e.segment = ? AND NOT EXISTS "
                "(SELECT 1 FROM assigned a WHERE a.segment = e.segment AND a.place = e.place AND a.label = e.label) "
                "ORDER BY e.label, e.place",
                [segment],
            )
            while page := rows.fetchmany(_PAGE_ROWS):
                for label, place, is_repeated in page:
                    name = f"{segment}-{label}-{place}" if is_repeated else f"{segment}-{label}"
                    yield _Entry(name, Part.LEFTOVERS, Origin.FILES, segment, place)

    def _locate(self, name: str, state: State, element: _Element | None) -> _Entry:
        """Where the vector of a record is: see step 3 of the protocol."""
        indexed = -1 if element is None else self._indexed[element.segment]
        is_newest = not self._tables.is_recovered or (state.vector_seq or -1) > indexed
        if state.vector_seq is not None and (element is None or is_newest):
            return _Entry(name, Part.RECORDS, Origin.QUEUE, None, state.vector_seq)
        if element is not None:
            return _Entry(name, Part.RECORDS, Origin.FILES, element.segment, element.row)
        return _Entry(name, Part.RECORDS)

    def _write(self, entries: Iterator[_Entry]) -> None:
        while batch := list(islice(entries, _PAGE_ROWS)):
            self._connection.executemany(
                "INSERT OR IGNORE INTO inventory (collection, id, part, origin, segment, place, row, applied) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        self._collection,
                        item.id,
                        item.part,
                        item.origin,
                        item.segment,
                        item.place,
                        item.row,
                        item.applied,
                    )
                    for item in batch
                ),
            )

    def _operations(self, names: Sequence[str]) -> dict[str, list[Operation]]:
        found: dict[str, list[Operation]] = defaultdict(list)
        marks = ", ".join("?" * len(names))
        rows = self._connection.execute(
            f"SELECT id, seq, kind, dimension FROM operations WHERE collection = ? AND id IN ({marks}) "  # noqa: S608
            "ORDER BY id, seq",
            [self._collection, *names],
        )
        for name, seq, kind, dimension in rows:
            has_vector = dimension is not None and dimension == self._inventory.dimension
            found[name].append(Operation(seq, kind, has_vector))
        return found

    def _elements(self, names: Sequence[str]) -> dict[str, _Element]:
        found: dict[str, _Element] = {}
        marks = ", ".join("?" * len(names))
        for segment, files in self._inventory.files.items():
            if files.layout is None or files.layout.dimension != self._inventory.dimension:
                continue
            rows = self._connection.execute(
                f"SELECT id, place FROM assigned WHERE segment = ? AND id IN ({marks})",  # noqa: S608
                [segment, *names],
            )
            for name, place in rows:
                found.setdefault(name, _Element(segment, place))
        return found

    def _pages(self, query: str, *values: str) -> Iterator[list[str]]:
        """The names that a query yields, in pages; read whole before the first, as the query's tables change."""
        names = [name for (name,) in self._connection.execute(query, values)]
        for start in range(0, len(names), _PAGE_ROWS):
            yield names[start : start + _PAGE_ROWS]

    def _report_damage(self) -> None:
        inventory = self._inventory
        for segment, files in inventory.files.items():
            inventory.damage += [f"{segment}/{damage}" for damage in files.damage]
        missing = [segment for segment in inventory.description.vectors if not (self._directory / segment).is_dir()]
        if inventory.parts[Part.WITHOUT_VECTORS]:
            inventory.damage += [f"the folder {segment} is missing" for segment in missing]
        wrong = self._tables.count(
            "SELECT count(*) FROM operations WHERE collection = ? AND dimension != ?",
            self._collection,
            inventory.dimension or 0,
        )
        if wrong:
            inventory.damage.append(f"{wrong} operations of the queue have vectors of another length")
