"""Row groups and segments from plain records, and back."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import orjson
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.collection.replica.memtable import Memtable, NewRows
from afterglow.segment import id_index, rounds, writer
from afterglow.segment.distance import Space
from afterglow.segment.hnsw import HnswBuild, HnswParameters
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.reader import Segment
from afterglow.segment.row_group import RowGroup, RowSubset, insertion_order
from afterglow.storage.ports import Stores
from tests.columns.records import metadatas as any_metadatas

PARAMETERS = HnswParameters(Space.L2, connectivity=8, ef_construction=64, ef_search=64)
COLLECTION = UUID("00000000-0000-4000-8000-000000000001")


@dataclass(frozen=True)
class Row:
    """One record of a row group."""

    id: str
    vector: tuple[float, float]
    document: str | None
    uri: str | None
    metadata: dict[str, Any] | None


rows = st.lists(
    st.builds(
        Row,
        st.text(max_size=4),
        st.tuples(st.floats(-4, 4, width=32), st.floats(-4, 4, width=32)),
        st.none() | st.text(max_size=6),
        st.none() | st.text(max_size=3),
        any_metadatas,
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row.id,
)


def memory_row_group(records: list[Row], row_seqs: NDArray[np.int64] | None = None) -> RowGroup:
    """A memtable as a row group; its sequence numbers count up unless given."""
    memtable = Memtable()
    memtable.append(
        NewRows(
            [row.id for row in records],
            np.arange(len(records)) if row_seqs is None else row_seqs,
            np.array([row.vector for row in records], dtype=np.float32).reshape(len(records), -1),
            [None if row.document is None else row.document.encode() for row in records],
            [None if row.uri is None else row.uri.encode() for row in records],
            [row.metadata or None for row in records],
        )
    )
    return memtable.as_row_group()


def write_clustered(stores: Stores, subset: RowSubset, space: Space = Space.L2, recall: float = 0.98) -> SegmentInfo:
    """Write these rows as a segment with lists."""
    order = insertion_order([subset])
    clustering = writer.cluster_rows(stores, space, [subset], order)
    assert clustering is not None
    plan = writer.ListsBuild(clustering, recall)
    return writer.write_segment(stores, f"{COLLECTION}/segments/", [subset], order[clustering.order], plan)


def lookup(segment: Segment, names: list[str]) -> list[int]:
    """The row of each id in a segment."""
    found: list[int] = rounds.run(segment.objects, segment.find(names, id_index.hash_ids(names))).tolist()
    return found


def rows_of(group: RowGroup) -> list[Row]:
    """The records of a row group."""
    result = []
    for row in range(group.rows):
        name, document, uri, metadata = (
            column.get(row) for column in (group.ids, group.documents, group.uris, group.metadatas)
        )
        assert name is not None
        x, y = group.vectors[row].tolist()
        result.append(
            Row(
                name.decode(),
                (x, y),
                None if document is None else document.decode(),
                None if uri is None else uri.decode(),
                None if metadata is None else orjson.loads(metadata),
            )
        )
    return result


def write_rows(stores: Stores, *subsets: RowSubset, graph: bool = False) -> SegmentInfo:
    """A segment of these rows in insertion order."""
    plan = HnswBuild(PARAMETERS, 1, stores.settings.compaction_memory_bytes) if graph else None
    return writer.write_segment(stores, f"{COLLECTION}/segments/", subsets, insertion_order(subsets), plan)


def every_row(group: RowGroup) -> RowSubset:
    return RowSubset(group, np.arange(group.rows))


def random_rows(count: int, seed: int = 0) -> list[Row]:
    """Rows with short texts and some metadata."""
    source = np.random.default_rng(seed)
    vectors = source.normal(size=(count, 2)).astype(np.float32).tolist()
    return [
        Row(
            f"id {number}",
            (x, y),
            f"document {number}" if number % 3 else None,
            None,
            {"n": number, "s": "abc"[number % 3]},
        )
        for number, (x, y) in enumerate(vectors)
    ]
