"""Shortlists by binary codes: fewer lists are read, in one round more, and the nearest are found all the same."""

from collections import deque
from collections.abc import Iterator

import numpy as np
import pytest

from afterglow.errors import Corrupt
from afterglow.segment import distance
from afterglow.segment.distance import Space
from afterglow.segment.list_index import ListIndex
from tests.collection.two_segments import ROWS, TwoSegments, two_segments

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[Space.L2, Space.COSINE, Space.IP])
def loaded(request: pytest.FixtureRequest) -> Iterator[TwoSegments]:
    with two_segments(request.param, 23, lambda row: {"tenth": row % 10}) as made:
        yield made


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's segments are so small that no shortlist would be worth its round."""
    monkeypatch.setattr("afterglow.collection.read.shortlist._WORTH_BYTES", -(2**60))


@pytest.mark.parametrize(("k", "tenth"), [(10, 3), (50, 3), (10, None), (300, None)])
@pytest.mark.usefixtures("always")
def test_the_nearest_are_on_the_shortlist(loaded: TwoSegments, k: int, tenth: int | None) -> None:
    allowed = np.arange(ROWS) if tenth is None else np.arange(tenth, ROWS, 10)
    where = None if tenth is None else {"tenth": tenth}
    found = 0
    for query in loaded.queries:
        exact = distance.exact_distances(loaded.space, loaded.vectors[allowed], query)
        rows, objects = loaded.find(query, k, where)
        assert len(set(rows)) == k
        assert set(rows) <= set(allowed.tolist())
        near = allowed[np.argsort(exact, kind="stable")[:k]]
        found += len(set(rows) & set(near.tolist()))
        steps = [sorted({key.rpartition("/")[2] for key in keys if "/segments/" in key}) for keys in objects.rounds]
        assert ["binary_codes"] in steps
    assert found / (k * len(loaded.queries)) >= 0.95


def test_a_shortlist_that_saves_too_little_is_not_made(loaded: TwoSegments) -> None:
    for where in (None, {"tenth": 3}):
        _, objects = loaded.find(loaded.queries[0], 10, where)
        assert not any(key.endswith("/binary_codes") for keys in objects.rounds for key in keys)


@pytest.mark.usefixtures("always")
def test_fewer_lists_are_read_and_a_segment_without_binary_codes_keeps_its_lists(
    loaded: TwoSegments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bytes_of_lists() -> int:
        total = 0
        for query in loaded.queries[:10]:
            rows, objects = loaded.find(query, 10, {"tenth": 3})
            assert len(rows) == 10
            total += sum(size for keys in objects.rounds for key, size in keys.items() if key.endswith("/lists"))
        return total

    monkeypatch.setattr(ListIndex, "shortlisted", lambda *_: 20)
    with_codes = bytes_of_lists()
    monkeypatch.setattr(ListIndex, "shortlisted", lambda *_: None)
    assert with_codes < 0.7 * bytes_of_lists()


@pytest.mark.usefixtures("always")
def test_damaged_binary_codes_are_named(loaded: TwoSegments) -> None:
    (*_, key) = [found.key for found in loaded.stores.objects.list("") if found.key.endswith("/binary_codes")]
    path = loaded.stores.objects.local_path(key)
    sound = path.read_bytes()
    middle = len(sound) // 2
    path.chmod(0o600)
    try:
        path.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
        with pytest.raises(Corrupt, match="binary_codes is damaged"):
            deque((loaded.find(query, 300) for query in loaded.queries), maxlen=0)
    finally:
        path.write_bytes(sound)
