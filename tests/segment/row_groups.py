"""Parts and segments made of plain records, and back."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import orjson
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.collection.replica.memtable import Memtable, NewRows
from afterglow.segment import row_group as parts
from afterglow.segment import writer
from afterglow.segment.distance import Space
from afterglow.segment.hnsw import HnswBuild, HnswParameters
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.row_group import RowGroup, RowSubset
from afterglow.storage.ports import Stores
from tests.columns.records import metadatas as any_metadatas

PARAMETERS = HnswParameters(Space.L2, connectivity=8, ef_construction=64, ef_search=64)
COLLECTION = UUID("00000000-0000-4000-8000-000000000001")


@dataclass(frozen=True)
class Row:
    """One record of a part."""

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


def memory_row_group(given: list[Row], ordinals: NDArray[np.int64] | None = None) -> RowGroup:
    """A part in memory; the ordinals count up unless given."""
    tail = Memtable()
    tail.append(
        NewRows(
            [row.id for row in given],
            np.arange(len(given)) if ordinals is None else ordinals,
            np.array([row.vector for row in given], dtype=np.float32).reshape(len(given), -1),
            [None if row.document is None else row.document.encode() for row in given],
            [None if row.uri is None else row.uri.encode() for row in given],
            [row.metadata or None for row in given],
        )
    )
    return tail.as_row_group()


def rows_of(part: RowGroup) -> list[Row]:
    """What a part holds."""
    found = []
    for row in range(part.rows):
        name, document, uri, metadata = (
            texts.get(row) for texts in (part.ids, part.documents, part.uris, part.metadatas)
        )
        assert name is not None
        x, y = part.vectors[row].tolist()
        found.append(
            Row(
                name.decode(),
                (x, y),
                None if document is None else document.decode(),
                None if uri is None else uri.decode(),
                None if metadata is None else orjson.loads(metadata),
            )
        )
    return found


def write_rows(stores: Stores, *chosen: RowSubset, graph: bool = False) -> SegmentInfo:
    """A segment of these rows in insertion order."""
    plan = HnswBuild(PARAMETERS, 1, stores.settings.compaction_memory_bytes) if graph else None
    return writer.write_segment(stores, f"{COLLECTION}/segments/", chosen, parts.insertion_order(chosen), plan)


def every_row(part: RowGroup) -> RowSubset:
    return RowSubset(part, np.arange(part.rows))


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
