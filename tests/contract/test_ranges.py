"""The contract of `Objects.lazy` and `Objects.need`."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterglow.errors import Corrupt, InternalError
from afterglow.storage.ports import ObjectNotFound, Objects, Ranges
from afterglow.storage.range_checks import checksums
from tests.contract.adapters import OBJECTS, Adapter, params
from tests.contract.racing import in_threads

CONTENT = np.random.default_rng(5).integers(0, 255, 1_000_000, dtype=np.uint8)


@dataclass(frozen=True)
class Place:
    """One store, and a way to open it again."""

    objects: Objects
    again: Callable[[], Objects]


@pytest.fixture(params=params(OBJECTS))
def place(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    adapter: Adapter[Objects] = request.param
    with adapter.backend.entered(request):
        yield Place(adapter.open(folder), lambda: adapter.open(folder))


def ranges(*spans: tuple[int, int], content: np.ndarray = CONTENT, checked: bool = True) -> Ranges:
    offsets = np.array([start for start, _ in spans], dtype=np.int64)
    lengths = np.array([stop - start for start, stop in spans], dtype=np.int64)
    return Ranges(offsets, lengths, checksums(content, offsets, lengths) if checked else None)


def test_ranges_of_several_files_are_there(place: Place) -> None:
    place.objects.put("a/one", CONTENT.data)
    place.objects.put("a/two", CONTENT[::-1].tobytes())
    objects = place.again()
    one, two = objects.lazy("a/one", len(CONTENT)), objects.lazy("a/two", len(CONTENT))
    assert (one.key, one.size) == ("a/one", len(CONTENT))
    backwards = CONTENT[::-1].copy()
    first, second = objects.need(
        [(one, ranges((3, 10), (500_000, 700_000))), (two, ranges((0, 5), (999_990, 1_000_000), content=backwards))]
    )
    assert first.shape == second.shape == CONTENT.shape
    assert (first[3:10] == CONTENT[3:10]).all()
    assert (first[500_000:700_000] == CONTENT[500_000:700_000]).all()
    assert (second[:5] == backwards[:5]).all()
    assert (second[999_990:] == backwards[999_990:]).all()
    assert not first.flags.writeable


def test_nothing_is_needed_of_nothing(place: Place) -> None:
    place.objects.put("empty", b"")
    file = place.objects.lazy("empty", 0)
    assert place.objects.need([]) == []
    (data,) = place.objects.need([(file, ranges())])
    assert data.shape == (0,)
    (data,) = place.objects.need([(file, ranges((0, 0)))])
    assert data.shape == (0,)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(st.lists(st.tuples(st.integers(0, 999_999), st.integers(0, 300_000)), max_size=5), max_size=4))
def test_any_ranges_in_any_order(place: Place, rounds: list[list[tuple[int, int]]]) -> None:
    place.objects.put("any", CONTENT.data)
    objects = place.again()
    file = objects.lazy("any", len(CONTENT))
    for spans in rounds:
        clipped = [(start, min(start + length, len(CONTENT))) for start, length in spans]
        (data,) = objects.need([(file, ranges(*clipped))])
        assert all((data[start:stop] == CONTENT[start:stop]).all() for start, stop in clipped)


def test_a_range_that_does_not_match_its_checksum_is_refused(place: Place) -> None:
    place.objects.put("key", CONTENT.data)
    objects = place.again()
    file = objects.lazy("key", len(CONTENT))
    wrong = ranges((10, 20), (40, 50), content=CONTENT[::-1].copy())
    for _ in range(2):
        with pytest.raises(Corrupt, match="key is damaged: it does not match a checksum at byte 10"):
            objects.need([(file, wrong)])
    (data,) = objects.need([(file, ranges((10, 20)))])
    assert (data[10:20] == CONTENT[10:20]).all()


def test_ranges_without_checksums_are_the_callers_to_verify(place: Place) -> None:
    place.objects.put("key", CONTENT.data)
    objects = place.again()
    file = objects.lazy("key", len(CONTENT))
    (data,) = objects.need([(file, ranges((10, 20), checked=False))])
    assert (data[10:20] == CONTENT[10:20]).all()


@pytest.mark.parametrize("size", [999_999, 1_000_001, 10])
def test_an_object_of_another_size_is_damaged(place: Place, size: int) -> None:
    place.objects.put("key", CONTENT.data)
    objects = place.again()
    with pytest.raises(Corrupt, match="key is damaged: 1000000 bytes instead of"):
        objects.need([(objects.lazy("key", size), ranges((0, 10)))])


def test_a_missing_object_is_not_found(place: Place) -> None:
    with pytest.raises(ObjectNotFound, match="a/none"):
        place.objects.need([(place.objects.lazy("a/none", 10), ranges((0, 10)))])


@pytest.mark.parametrize("span", [(-1, 5), (0, 1_000_001), (5, 4)])
def test_ranges_outside_of_the_file_are_a_bug(place: Place, span: tuple[int, int]) -> None:
    place.objects.put("key", CONTENT.data)
    file = place.objects.lazy("key", len(CONTENT))
    with pytest.raises(InternalError, match="outside of its 1000000 bytes"):
        place.objects.need([(file, Ranges(np.array([span[0]]), np.array([span[1] - span[0]])))])


def test_what_was_read_outlives_the_object(place: Place) -> None:
    place.objects.put("key", CONTENT.data)
    objects = place.again()
    (data,) = objects.need([(objects.lazy("key", len(CONTENT)), ranges((5, 500_000)))])
    place.objects.delete("key")
    objects.invalidate("key")
    assert (data[5:500_000] == CONTENT[5:500_000]).all()


def test_threads_share_a_file(place: Place) -> None:
    place.objects.put("key", CONTENT.data)
    objects = place.again()
    barrier = threading.Barrier(6)

    def work(number: int) -> bool:
        file = objects.lazy("key", len(CONTENT))
        barrier.wait()
        for start in range(0, 900_000, 90_000):
            stop = start + 50_000 + number
            (data,) = objects.need([(file, ranges((start, stop)))])
            if not (data[start:stop] == CONTENT[start:stop]).all():
                return False
        return True

    assert all(in_threads(6, work))
