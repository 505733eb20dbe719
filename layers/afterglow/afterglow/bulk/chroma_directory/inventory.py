"""Decides for every record of a collection where its vector is, and writes that into the scratch database.

Only ids, labels and positions are read here; `contents` reads vectors, documents and metadata by what is written.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import islice
from pathlib import Path

from afterglow.bulk.chroma_directory import hnsw_files, label_map, label_order
from afterglow.bulk.chroma_directory.descriptions import Description
from afterglow.bulk.chroma_directory.hnsw_files import VectorFiles
from afterglow.bulk.chroma_directory.label_map import LabelMap
from afterglow.bulk.chroma_directory.operations import ADD, Operation, State, replay
from afterglow.bulk.chroma_directory.tables import Tables

_PAGE_ROWS = 500
_TABLES = {
    "labels": "segment, id, label INTEGER, votes INTEGER, PRIMARY KEY (segment, id, label)",
    "elements": "segment, label INTEGER, place INTEGER, PRIMARY KEY (segment, label)",
    "assigned": "segment, id, label INTEGER, place INTEGER, PRIMARY KEY (segment, id), UNIQUE (segment, label)",
    "inventory": (
        "number INTEGER PRIMARY KEY, collection, id, part INTEGER, origin INTEGER, segment, place INTEGER, "
        "row INTEGER, applied INTEGER, UNIQUE (collection, part, number), UNIQUE (collection, id)"
    ),
}
_ASSIGN = (
    "INSERT OR IGNORE INTO assigned SELECT l.segment, l.id, l.label, e.place FROM labels l "
    "JOIN elements e ON e.segment = l.segment AND e.label = l.label WHERE l.segment = ?"
)
# Ids that the tables list go first: a damaged byte may have made a label map's id another one.
_LISTED = "NOT EXISTS (SELECT 1 FROM source.embeddings s WHERE s.segment_id IN (MARKS) AND s.embedding_id = l.id)"


class Part(IntEnum):
    """What becomes of an id."""

    RECORDS = 0
    WITHOUT_VECTORS = 1
    LEFTOVERS = 2
    DELETED = 3


class Origin(IntEnum):
    """Where the vector of a record is."""

    NOWHERE = 0
    FILES = 1
    QUEUE = 2


@dataclass(slots=True)
class Inventory:
    """The result for one collection: counts by part and by origin, and the files with its vectors."""

    description: Description
    dimension: int | None = None
    files: dict[str, VectorFiles] = field(default_factory=dict)
    parts: Counter[Part] = field(default_factory=Counter)
    origins: Counter[Origin] = field(default_factory=Counter)
    damage: list[str] = field(default_factory=list)


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
    for name, columns in _TABLES.items():
        tables.connection.execute(f"CREATE TABLE {name} ({columns})")


def take(tables: Tables, directory: Path, description: Description) -> Inventory:
    """Write the rows of one collection. Raises OSError."""
    inventory = Inventory(description, damage=list(description.damage))
    tables.connection.execute("BEGIN")
    builder = _Builder(tables, directory, inventory)
    builder.build()
    tables.connection.execute("COMMIT")
    return inventory


class _Builder:
    def __init__(self, tables: Tables, directory: Path, inventory: Inventory) -> None:
        self._tables = tables
        self._connection = tables.connection
        self._directory = directory
        self._inventory = inventory
        self._collection = inventory.description.info.id
        self._applied = self._max_seq(inventory.description.records)
        self._indexed: dict[str, int] = {}

    def build(self) -> None:
        """Fill the inventory of the collection."""
        inventory = self._inventory
        maps = {segment: self._load_labels(segment) for segment in inventory.description.vectors}
        inventory.dimension = self._find_dimension(maps.values())
        for segment, labels in maps.items():
            self._load_elements(segment, labels)
        if inventory.dimension is None:
            dimensions = (files.layout.dimension for files in inventory.files.values() if files.layout is not None)
            inventory.dimension = next(dimensions, None)
        for entries in (self._listed(), self._queued(), self._labelled()):
            self._write(entries)
        self._write(self._unclaimed())
        self._tally()
        self._report_damage()

    def _tally(self) -> None:
        rows = self._connection.execute(
            "SELECT part, origin, count(*) FROM inventory WHERE collection = ? GROUP BY part, origin",
            [self._collection],
        )
        for part, origin, count in rows:
            self._inventory.parts[Part(part)] += count
            if part == Part.RECORDS:
                self._inventory.origins[Origin(origin)] += count

    def _load_labels(self, segment: str) -> LabelMap | None:
        """The label map of a segment; None if there is no file."""
        path = self._directory / segment / hnsw_files.LABELS
        if not path.is_file():
            return None
        labels = LabelMap()
        entries = label_map.entries(path, labels)
        while batch := list(islice(entries, _PAGE_ROWS)):
            self._connection.executemany(
                "INSERT INTO labels VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET votes = votes + 1",
                ((segment, name, label) for name, label in batch),
            )
        single = self._count("SELECT count(*) FROM labels WHERE segment = ? AND votes != 2", segment)
        if not labels.is_complete:
            self._inventory.damage.append(f"{segment}/{path.name} is damaged in {labels.damage} places")
        elif single:
            self._inventory.damage.append(f"{segment}/{path.name}: {single} entries contradict others")
        return labels

    def _load_elements(self, segment: str, labels: LabelMap | None) -> None:
        inventory = self._inventory
        count = self._count("SELECT count(DISTINCT id) FROM labels WHERE segment = ?", segment)
        hnsw = inventory.description.info.configuration["hnsw"]
        files = hnsw_files.open_files(
            self._directory / segment,
            dimension=inventory.dimension,
            max_neighbors=hnsw["max_neighbors"],
            is_cosine=hnsw["space"] == "cosine",
            labels=count,
        )
        inventory.files[segment] = files
        for rows, found in files.elements():
            self._connection.executemany(
                "INSERT OR IGNORE INTO elements VALUES (?, ?, ?)",
                zip([segment] * len(rows), found.tolist(), rows.tolist(), strict=True),
            )
        self._drop_unused(segment, files)
        records = inventory.description.records if self._has_embeddings else []
        listed = _LISTED.replace("MARKS", ", ".join("?" * len(records))) if records else "NULL"
        self._connection.execute(f"{_ASSIGN} ORDER BY l.votes DESC, {listed}, l.label", [segment, *records])
        max_seq = self._max_seq([segment])
        if max_seq < 0 and labels is not None:
            max_seq = labels.max_seq or -1
        self._indexed[segment] = max_seq
        used = self._count("SELECT count(*) FROM elements WHERE segment = ?", segment)
        if labels is None and used:
            inventory.damage.append(f"{segment}/{hnsw_files.LABELS} is missing")
        is_ordered = inventory.description.has_ordered_labels and not self._tables.is_recovered
        if used and records and is_ordered and (labels is None or not labels.is_complete):
            assigned = label_order.assign(self._connection, self._collection, records, segment, max_seq)
            if assigned:
                inventory.damage.append(
                    f"{segment}: the ids of {assigned} vectors were found by the order of insertion"
                )

    @property
    def _has_embeddings(self) -> bool:
        return "embeddings" in self._tables.columns

    def _drop_unused(self, segment: str, files: VectorFiles) -> None:
        """Elements beyond the header's count are unused, unless the label map names their labels."""
        layout = files.layout
        if layout is None:
            return
        used = files.rows if layout.count is None else layout.count
        self._connection.execute(
            "DELETE FROM elements WHERE segment = ? AND place >= ? AND label NOT IN "
            "(SELECT label FROM labels WHERE segment = ?)",
            [segment, used, segment],
        )

    def _find_dimension(self, maps: Iterable[LabelMap | None]) -> int | None:
        """The dimension by the collection's row, else by most operations, else by the label map."""
        if self._inventory.description.info.dimension is not None:
            return self._inventory.description.info.dimension
        row = self._connection.execute(
            "SELECT dimension FROM operations WHERE collection = ? AND dimension > 0 GROUP BY dimension "
            "ORDER BY count(*) DESC LIMIT 1",
            [self._collection],
        ).fetchone()
        if row is not None:
            return int(row[0])
        return next((labels.dimension for labels in maps if labels is not None and labels.dimension), None)

    def _listed(self) -> Iterator[_Entry]:
        """The records of the tables."""
        records = self._inventory.description.records
        if not records or not self._has_embeddings:
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
                "SELECT e.label, e.place FROM elements e WHERE e.segment = ? AND NOT EXISTS "
                "(SELECT 1 FROM assigned a WHERE a.segment = e.segment AND a.label = e.label) ORDER BY e.label",
                [segment],
            )
            while page := rows.fetchmany(_PAGE_ROWS):
                for label, place in page:
                    yield _Entry(f"{segment}-{label}", Part.LEFTOVERS, Origin.FILES, segment, place)

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

    def _max_seq(self, segments: Sequence[str]) -> int:
        """The last operation that the segments contain, -1 if unknown."""
        marks = ", ".join("?" * len(segments))
        rows = self._tables.select("max_seq_id", ("seq_id",), f"WHERE segment_id IN ({marks})", tuple(segments))
        return max((decode_seq(seq) for (seq,) in rows), default=-1)

    def _count(self, query: str, *values: str | int) -> int:
        return int(self._connection.execute(query, values).fetchone()[0])

    def _report_damage(self) -> None:
        inventory = self._inventory
        for segment, files in inventory.files.items():
            inventory.damage += [f"{segment}/{damage}" for damage in files.damage]
        missing = [segment for segment in inventory.description.vectors if not (self._directory / segment).is_dir()]
        if inventory.parts[Part.WITHOUT_VECTORS]:
            inventory.damage += [f"the folder {segment} is missing" for segment in missing]
        wrong = self._count(
            "SELECT count(*) FROM operations WHERE collection = ? AND dimension != ?",
            self._collection,
            inventory.dimension or 0,
        )
        if wrong:
            inventory.damage.append(f"{wrong} operations of the queue have vectors of another length")


def decode_seq(value: object) -> int:
    """The number of an operation: an integer, or big-endian bytes until 0.6; -1 if it is neither."""
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    return value if isinstance(value, int) else -1
