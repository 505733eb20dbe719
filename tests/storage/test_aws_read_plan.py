"""Which spans are requested for missing intervals."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.storage.aws.read_plan import GAPS, MOST_PARTS, SPAN_BYTES, Span, plan

INTERVALS = st.lists(st.tuples(st.integers(0, 20_000_000), st.integers(1, 3_000_000)), max_size=40)


def planned(*intervals: tuple[int, int]) -> list[Span]:
    starts, stops = (np.array(edge, dtype=np.int64) for edge in zip(*intervals, strict=True))
    (spans,) = plan([(starts, stops)])
    return spans


@settings(max_examples=40, deadline=None)
@given(INTERVALS)
def test_spans_cover_the_intervals_and_little_else(intervals: list[tuple[int, int]]) -> None:
    pairs = [(start, start + length) for start, length in intervals]
    spans = planned(*pairs) if pairs else plan([(np.empty(0, np.int64), np.empty(0, np.int64))])[0]
    assert all(0 < len(span) <= SPAN_BYTES + 1 for span in spans)
    assert all(first.stop <= second.start for first, second in pairwise(spans))
    for start, stop in pairs:
        covered = sum(max(0, min(stop, span.stop) - max(start, span.start)) for span in spans)
        assert covered == stop - start
    for span in spans:
        inside = [pair for pair in pairs if pair[0] < span.stop and pair[1] > span.start]
        assert inside or len(span) <= GAPS[-1]


def test_close_intervals_are_read_together_and_distant_ones_apart() -> None:
    assert planned((0, 1_000), (3_000, 4_000)) == [Span(0, 4_000)]
    assert planned((0, 1_000), (10_000_000, 10_001_000)) == [Span(0, 1_000), Span(10_000_000, 10_001_000)]


def test_many_scattered_intervals_do_not_read_the_whole_file() -> None:
    starts = np.arange(0, 14_000_000, 110_000)
    spans = planned(*[(int(start), int(start) + 13_000) for start in starts])
    assert sum(map(len, spans)) < 4_000_000


def test_the_smallest_gaps_of_very_many_intervals_are_read() -> None:
    wide, narrow = 90_000, 70_000
    edges = np.cumsum([wide if number % 3 else narrow for number in range(150)]).tolist()
    spans = planned(*[(edge, edge + 20_000) for edge in edges])
    assert len(spans) == MOST_PARTS
    assert sum(map(len, spans)) == 150 * 20_000 + (150 - MOST_PARTS) * (narrow - 20_000)
    assert len(planned(*[(5 * edge, 5 * edge + 20_000) for edge in edges])) == 150, "far apart"


def test_files_of_a_round_share_the_parts() -> None:
    starts = np.arange(60) * 150_000
    near, far = (starts, starts + 30_000), (5 * starts, 5 * starts + 30_000)
    assert [len(spans) for spans in plan([near])] == [60]
    assert [len(spans) for spans in plan([near, near, near])] == [40, 40, 40], "37 parts, one of which is divided"
    assert [len(spans) for spans in plan([near, far])] == [56, 60], "gaps that are too wide are not read"


def test_large_intervals_are_divided_evenly() -> None:
    spans = planned((100, 3_500_100))
    assert {len(span) for span in spans} == {875_000}
