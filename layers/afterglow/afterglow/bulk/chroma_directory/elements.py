"""Reads which id of a segment has which label, and which label is where in its HNSW files, into the scratch database.

::

    labels      every entry of the label map: one that both of its maps contain has two votes
    elements    every element of the files: its place and its label
    assigned    each id with one label and each label with one id, as far as both are known
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from operator import ne
from pathlib import Path

from afterglow.bulk.chroma_directory import hnsw_files, label_map, label_order
from afterglow.bulk.chroma_directory.descriptions import Description
from afterglow.bulk.chroma_directory.hnsw_files import VectorFiles
from afterglow.bulk.chroma_directory.label_map import LabelMap
from afterglow.bulk.chroma_directory.parts import Inventory, Part
from afterglow.bulk.chroma_directory.tables import Tables

_PAGE_ROWS = 500
_FEW = 16
_TABLES = {
    "labels": "segment, id, label INTEGER, votes INTEGER, PRIMARY KEY (segment, id, label)",
    "elements": "segment, label INTEGER, place INTEGER, PRIMARY KEY (segment, place)",
    "assigned": "segment, id, label INTEGER, place INTEGER, PRIMARY KEY (segment, id), UNIQUE (segment, label)",
}
_ASSIGN = (
    "INSERT OR IGNORE INTO assigned SELECT l.segment, l.id, l.label, e.place FROM labels l "
    "JOIN elements e ON e.segment = l.segment AND e.label = l.label WHERE l.segment = ?"
)
# Ids that the tables list go first: a damaged byte may have made a label map's id another one.
_LISTED = "NOT EXISTS (SELECT 1 FROM source.embeddings s WHERE s.segment_id IN (MARKS) AND s.embedding_id = l.id)"


@dataclass(slots=True)
class Elements:
    """The files of a segment. `max_seq`: the last operation that they contain, -1 if unknown."""

    files: VectorFiles
    max_seq: int
    is_mixed: bool = False
    """Whether several processes wrote the files, so that vectors may belong to other ids."""
    damage: list[str] = field(default_factory=list)


def create_tables(tables: Tables) -> None:
    """The tables of this module, in the scratch database."""
    for name, columns in _TABLES.items():
        tables.connection.execute(f"CREATE TABLE {name} ({columns})")
    tables.connection.execute("CREATE INDEX elements_index ON elements (segment, label)")


def load_labels(tables: Tables, folder: Path, damage: list[str]) -> LabelMap | None:
    """Read the label map of a segment's folder; None if there is no file. Raises OSError."""
    segment, path = folder.name, folder / hnsw_files.LABELS
    if not path.is_file():
        return None
    labels = LabelMap()
    entries = label_map.entries(path, labels)
    while batch := list(islice(entries, _PAGE_ROWS)):
        tables.connection.executemany(
            "INSERT INTO labels VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET votes = votes + 1",
            ((segment, name, label) for name, label in batch),
        )
    single = tables.count("SELECT count(*) FROM labels WHERE segment = ? AND votes != 2", segment)
    if not labels.is_complete:
        damage.append(f"{segment}/{path.name} is damaged in {labels.damage} places")
    elif single:
        damage.append(f"{segment}/{path.name}: {single} entries contradict others")
    return labels


def load_elements(
    tables: Tables, folder: Path, description: Description, dimension: int | None, labels: LabelMap | None
) -> Elements:
    """Read the elements of a segment's folder, and assign its labels to ids. Raises OSError."""
    segment = folder.name
    hnsw = description.info.configuration["hnsw"]
    files = hnsw_files.open_files(
        folder,
        dimension=dimension,
        max_neighbors=hnsw["max_neighbors"],
        is_cosine=hnsw["space"] == "cosine",
        labels=tables.count("SELECT count(DISTINCT id) FROM labels WHERE segment = ?", segment),
    )
    max_seq = tables.max_seq([segment])
    if max_seq < 0 and labels is not None:
        max_seq = labels.max_seq or -1
    loaded = Elements(files, max_seq)
    for rows, found in files.elements():
        tables.connection.executemany(
            "INSERT INTO elements VALUES (?, ?, ?)",
            zip([segment] * len(rows), found.tolist(), rows.tolist(), strict=True),
        )
    records = description.records if tables.has_records else []
    listed = _LISTED.replace("MARKS", ", ".join("?" * len(records))) if records else "NULL"
    tables.connection.execute(f"{_ASSIGN} ORDER BY l.votes DESC, {listed}, l.label, e.place", [segment, *records])
    if differences := list(_differences(tables, files, labels)):
        loaded.damage.append(f"{segment}: {'; '.join(differences)}: several processes may have written the files")
    if records and labels is not None and labels.is_complete and not tables.is_recovered:
        absent = _count_absent(tables, segment, records, max_seq)
        if absent:
            loaded.is_mixed = True
            loaded.damage.append(
                f"{segment}: {absent} records are missing in {hnsw_files.LABELS}, although it is newer than they are: "
                "several processes wrote the files, and vectors may belong to other ids"
            )
    used = tables.count("SELECT count(*) FROM elements WHERE segment = ?", segment)
    if labels is None and used:
        loaded.damage.append(f"{segment}/{hnsw_files.LABELS} is missing")
    is_ordered = description.has_ordered_labels and not tables.is_recovered
    if used and records and is_ordered and (labels is None or not labels.is_complete):
        assigned = label_order.assign(tables.connection, description.info.id, records, segment, max_seq)
        if assigned:
            loaded.damage.append(f"{segment}: the ids of {assigned} vectors were found by the order of insertion")
    return loaded


def _count_absent(tables: Tables, segment: str, records: list[str], max_seq: int) -> int:
    """The number of records that the label map lacks, although the files claim to contain their operations.

    A few are not counted if the map has them under a name in which a byte is damaged.
    """
    marks = ", ".join("?" * len(records))
    absent = (
        f"FROM source.embeddings e WHERE e.segment_id IN ({marks}) AND decode_seq(e.seq_id) <= ? "  # noqa: S608
        "AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.segment = ? AND l.id = e.embedding_id)"
    )
    count = tables.count(f"SELECT count(*) {absent}", *records, max_seq, segment)
    if not 0 < count <= _FEW:
        return count
    names = [
        name
        for (name,) in tables.connection.execute(
            f"SELECT e.embedding_id {absent}",
            [*records, max_seq, segment],
        )
    ]
    lengths = ", ".join(str(len(name)) for name in names)
    others = tables.connection.execute(
        f"SELECT id FROM labels l WHERE segment = ? AND length(id) IN ({lengths}) "  # noqa: S608
        "GROUP BY id HAVING count(DISTINCT label) > 1 OR NOT EXISTS "
        f"(SELECT 1 FROM source.embeddings e WHERE e.segment_id IN ({marks}) AND e.embedding_id = l.id)",
        [segment, *records],
    )
    for (other,) in others:
        names = [name for name in names if not _differ_little(name, other)]
    return len(names)


def _differ_little(name: str, other: str) -> bool:
    return len(name) == len(other) and sum(map(ne, name, other)) <= 1


def move_uncertain(tables: Tables, segment: str, inventory: Inventory) -> None:
    """Move records with a vector of the files to the uncertain ones.

    If several processes wrote these, all of them, else those whose label is there twice.
    """
    repeated = (
        "AND place IN (SELECT e.place FROM elements e JOIN elements o ON o.segment = e.segment AND o.label = e.label "
        "AND o.place != e.place WHERE e.segment = inventory.segment)"
    )
    tables.connection.execute(
        "UPDATE inventory SET part = ? WHERE collection = ? AND segment = ? AND part = ? "  # noqa: S608
        f"{'' if inventory.is_mixed else repeated}",
        [Part.UNCERTAIN, inventory.description.info.id, segment, Part.RECORDS],
    )


def _differences(tables: Tables, files: VectorFiles, labels: LabelMap | None) -> Iterator[str]:
    """What contradicts that one process wrote the files: then their sizes agree, and each label is there once."""
    segment, layout = files.folder.name, files.layout
    if layout is None:
        return
    added = labels.scalars.get("total_elements_added") if labels is not None and labels.is_complete else None
    if added is not None and layout.count is not None and added != layout.count:
        yield f"{hnsw_files.LABELS} has {added} elements, {hnsw_files.HEADER} {layout.count}"
    if files.beyond:
        yield f"{hnsw_files.DATA} has {files.beyond} more than {hnsw_files.HEADER}"
    repeated = tables.count("SELECT count(*) - count(DISTINCT label) FROM elements WHERE segment = ?", segment)
    if repeated:
        yield f"{hnsw_files.DATA} has {repeated} labels twice"
