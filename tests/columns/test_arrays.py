"""Array helpers: slices gathered at once, and growth that leaves snapshots alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterglow.columns.arrays import GrowableArray, slice_indices


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=10))
def test_slice_indices_are_those_of_the_slices(slices: list[tuple[int, int]]) -> None:
    starts, lengths = (np.array([pair[number] for pair in slices], dtype=np.int64) for number in (0, 1))
    indices, offsets = slice_indices(starts, lengths)
    assert indices.tolist() == [index for start, length in slices for index in range(start, start + length)]
    assert offsets.dtype == np.uint64
    assert np.diff(offsets.view(np.int64)).tolist() == [length for _, length in slices]


@given(st.lists(st.lists(st.integers(0, 255), max_size=9), max_size=8))
def test_snapshots_keep_their_items_while_the_array_grows(batches: list[list[int]]) -> None:
    array, items = GrowableArray(np.uint8, capacity=1), list[int]()
    snapshots = []
    for batch in batches:
        array.extend(batch)
        items = [*items, *batch]
        snapshots.append((array.snapshot(), items))
    assert len(array) == len(items)
    assert all(snapshot.tolist() == expected for snapshot, expected in snapshots)


@given(st.lists(st.integers(0, 9), max_size=8))
def test_items_may_be_arrays(counts: list[int]) -> None:
    rows = np.arange(3 * sum(counts), dtype=np.int16).reshape(-1, 3)
    array, snapshots = GrowableArray(np.int16, item_shape=(3,)), []
    for end in np.cumsum(counts, dtype=int).tolist():
        array.extend(rows[len(array) : end])
        snapshots.append((array.snapshot(), end))
    assert all(snapshot.tolist() == rows[:end].tolist() for snapshot, end in snapshots)
