"""Pages in insertion order over clustered segments, against a sort of everything."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from afterglow.collection.read.insertion_pages import page
from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.segment.reader import Mask, Segment
from tests.segment.row_groups import PARAMETERS, every_row, memory_row_group, random_rows, write_clustered
from tests.support.remote import StrictObjects
from tests.support.stores import quick_folder, stores_at

ROWS = 1_100


@dataclass(frozen=True)
class Groups:
    """Two clustered segments, an earlier one without its root file, and a memtable; their insertion numbers."""

    views: list[RowGroupView]
    row_seqs: list[NDArray[np.int64]]
    objects: StrictObjects


@pytest.fixture(scope="module")
def groups() -> Iterator[Groups]:
    with quick_folder() as folder:
        stores = stores_at(folder)
        objects = StrictObjects(stores.objects)
        numbers = np.random.default_rng(3).permutation(3 * ROWS + 40) * 2
        parts = [np.sort(part) for part in np.split(numbers, [ROWS, 2 * ROWS, 3 * ROWS])]
        views = []
        for number, part in enumerate(parts):
            memory = memory_row_group(random_rows(len(part)), part)
            if number == 3:
                views.append(RowGroupView(memory, None))
                continue
            info = write_clustered(stores, every_row(memory))
            if number == 2:
                for role in ("contents", "places"):
                    del info.files[role]
            segment = Segment(objects, info, PARAMETERS)
            views.append(RowGroupView(segment.rows, None, lists=segment.lists))
        yield Groups(views, [view.rows.row_seqs for view in views], objects)
        stores.table.close()


def expected(
    row_seqs: list[NDArray[np.int64]], masks: list[Mask | None], offset: int, limit: int | None
) -> list[tuple[int, int]]:
    everything = sorted(
        (int(numbers[row]), group, row)
        for group, (numbers, mask) in enumerate(zip(row_seqs, masks, strict=True))
        for row in (range(len(numbers)) if mask is None else np.flatnonzero(mask).tolist())
    )
    stop = len(everything) if limit is None else offset + limit
    return [(group, row) for _, group, row in everything[offset:stop]]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_page_is_what_a_sort_of_everything_has_there(groups: Groups, seed: int) -> None:
    source = np.random.default_rng(seed)
    masks: list[Mask | None] = []
    for view in groups.views:
        share = source.choice([0.0, 0.01, 0.5, 0.97, 1.0, 1.0])
        masks.append(None if share == 1.0 else source.random(view.rows.rows) < share)
    for _ in range(8):
        offset, limit = int(source.integers(0, 3 * ROWS)), [1, 7, 100, 600, None][source.integers(5)]
        found = page(groups.views, masks, offset, limit)
        assert list(zip(*(part.tolist() for part in found), strict=True)) == expected(
            groups.row_seqs, masks, offset, limit
        )


def test_a_page_reads_its_part_of_the_order(groups: Groups) -> None:
    masks: list[Mask | None] = [None, None]
    left_out = np.ones(ROWS, dtype=np.bool_)
    left_out[[3, 700]] = False
    masks[1] = left_out
    page(groups.views[:2], masks, 0, 1)
    groups.objects.rounds.clear()
    found = page(groups.views[:2], masks, ROWS, 100)
    assert len(found[0]) == 100
    assert sum(sum(bytes_of.values()) for bytes_of in groups.objects.rounds) < 2 * 3 * 256 * 40 + 4 * 8_192


@pytest.mark.parametrize("seed", range(6))
def test_a_page_of_rows_that_are_in_order_or_not(seed: int) -> None:
    source = np.random.default_rng(seed)
    count = int(source.integers(1, 4))
    parts = np.split(source.permutation(60 * count), count)
    parts = [np.sort(part) if source.random() < 0.6 else part for part in parts]
    views = [RowGroupView(memory_row_group(random_rows(len(part)), part), None) for part in parts]
    for _ in range(20):
        masks: list[Mask | None] = [None if source.random() < 0.5 else source.random(60) < 0.4 for _ in parts]
        offset, limit = int(source.integers(0, 60 * count + 5)), [0, 1, 7, 100, None][source.integers(5)]
        found = page(views, masks, offset, limit)
        assert list(zip(*(part.tolist() for part in found), strict=True)) == expected(parts, masks, offset, limit)
