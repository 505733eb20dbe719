"""Gathered rows: the same strings whatever the size of a chunk."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterglow.columns.gather import GatheredStrings, GatherPlan
from tests.columns.records import documents, strings_of

sources = st.lists(st.lists(documents, max_size=6), min_size=1, max_size=3)


@given(sources, st.data(), st.integers(0, 20))
def test_gathered_strings_follow_the_order(groups: list[list[str | None]], data: st.DataObject, max_bytes: int) -> None:
    subsets = [data.draw(st.permutations(range(len(group)))) for group in groups]
    subsets = [rows[: data.draw(st.integers(0, len(rows)))] for rows in subsets]
    selected = [groups[number][row] for number, rows in enumerate(subsets) for row in rows]
    order = data.draw(st.permutations(range(len(selected))))
    plan = GatherPlan.of([np.array(rows, dtype=np.int64) for rows in subsets], np.array(order, dtype=np.int64))
    strings = GatheredStrings([strings_of(group) for group in groups], plan)
    expected = [selected[position] for position in order]
    assert [text.decode() for text in strings.iter_rows(max_bytes)] == [text or "" for text in expected]
    assert (strings.validity is None) == (None not in expected)
    chunks = [chunk.tobytes() for chunk in strings.chunks(max_bytes)]
    assert b"".join(chunks) == b"".join((text or "").encode() + b"\xff" for text in expected)
    assert all(len(chunk) <= max_bytes or chunk.count(b"\xff") == 1 for chunk in chunks)


def test_a_chunk_lists_its_rows_by_source() -> None:
    plan = GatherPlan.of([np.array([4, 7]), np.array([1])], np.array([2, 0, 1]))
    assert [(number, positions.tolist(), rows.tolist()) for number, positions, rows in plan.chunk(0, 2)] == [
        (0, [1], [4]),
        (1, [0], [1]),
    ]
