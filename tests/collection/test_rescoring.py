"""Of all segments together the best candidates are rescored, and the records of those are read that likely are hits."""

from typing import Any, cast

import numpy as np
import pytest

from afterglow.collection.read.rescoring import best
from afterglow.segment.lists import Candidates
from afterglow.segment.places import PLACE, Places


def candidates(keys: list[float]) -> Candidates:
    """Rows 0, 1, … of a segment, with these keys."""
    stored = np.zeros(len(keys), PLACE)
    stored["row"] = np.arange(len(keys))
    return Candidates(Places.of(stored), np.array(keys, dtype=np.float64))


@pytest.mark.parametrize("segments", [1, 2, 7])
def test_more_segments_need_no_more_vectors_or_records(segments: int) -> None:
    keys = [float(number) for number in np.random.default_rng(segments).permutation(700)]
    found = [candidates(sorted(keys[segment::segments])) for segment in range(segments)]
    shortened = best([cast(Any, None)] * segments, found, 60, 10)
    assert sum(len(part.places.rows) for part in shortened) == 60
    assert sum(part.likely for part in shortened) == 19
    for part, of_segment in zip(shortened, found, strict=True):
        assert (of_segment.keys[: part.likely] < 19).all()
        assert (of_segment.keys[part.likely :] >= 19).all()


def test_all_of_few_candidates_are_likely() -> None:
    (shortened,) = best([cast(Any, None)], [candidates([1.0, 2.0])], 60, 10)
    assert (len(shortened.places.rows), shortened.likely) == (2, 2)
