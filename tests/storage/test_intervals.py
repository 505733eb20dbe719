"""Sets of byte intervals, against sets of bytes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterglow.storage.intervals import Intervals, union

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair))), max_size=8)


def arrays(spans: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def members(spans: list[tuple[int, int]]) -> set[int]:
    return {byte for start, stop in spans for byte in range(start, stop)}


@given(batches=st.lists(SPANS, max_size=4), probes=SPANS, whole=st.tuples(st.integers(0, 30), st.integers(31, 60)))
def test_a_set_of_intervals_is_a_set_of_bytes(
    batches: list[list[tuple[int, int]]], probes: list[tuple[int, int]], whole: tuple[int, int]
) -> None:
    intervals, reference = Intervals(), set[int]()
    for batch in batches:
        intervals.add(*arrays(batch))
        reference |= members(batch)
    assert intervals.total() == len(reference)
    contained = intervals.contains(*arrays(probes)).tolist()
    assert contained == [members([probe]) <= reference for probe in probes]
    gaps = list(zip(*(edge.tolist() for edge in intervals.gaps(*whole)), strict=True))
    assert members(gaps) == members([whole]) - reference
    assert all(stop > start for start, stop in gaps)
    intervals.clear()
    assert intervals.total() == 0


@given(spans=SPANS, gap=st.integers(0, 20))
def test_a_union_joins_what_is_close(spans: list[tuple[int, int]], gap: int) -> None:
    starts, stops = union(*arrays(spans), gap=gap)
    assert (starts[1:] - stops[:-1] > gap).all()
    assert (stops > starts).all()
    covered = members(list(zip(starts.tolist(), stops.tolist(), strict=True)))
    assert members(spans) <= covered
    if gap == 0:
        assert covered == members(spans)
