"""The contract of the Objects port."""

import mmap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterglow.errors import InvalidArgument
from afterglow.storage.ports import ConditionFailed, ObjectNotFound, Objects
from tests.contract.adapters import OBJECTS, Adapter, params
from tests.contract.racing import in_processes, in_threads, put_first


@dataclass(frozen=True)
class Place:
    """One store, and a way to open it again."""

    objects: Objects
    again: Callable[[], Objects]


@pytest.fixture(params=params(OBJECTS))
def adapter(request: pytest.FixtureRequest) -> Iterator[Adapter[Objects]]:
    found: Adapter[Objects] = request.param
    with found.backend.entered(request):
        yield found


@pytest.fixture
def place(adapter: Adapter[Objects], folder: Path) -> Place:
    return Place(adapter.open(folder), lambda: adapter.open(folder))


def keys_of(objects: Objects, prefix: str = "") -> list[str]:
    return [info.key for info in objects.list(prefix)]


def test_get_returns_what_was_put(place: Place) -> None:
    objects = place.objects
    objects.put("a/b/one", b"0123456789")
    objects.put("a/b/two", memoryview(b"view"))
    objects.put("empty", b"")
    assert objects.get("a/b/one") == b"0123456789"
    assert objects.get("a/b/two") == b"view"
    assert objects.get("empty") == b""
    assert place.again().get("a/b/one") == b"0123456789"


def test_several_are_got_in_order_and_those_missing_are_none(place: Place) -> None:
    objects = place.objects
    for number in range(10):
        objects.put(f"many/{number}", b"%d" % number)
    keys = [f"many/{number}" for number in (7, 3, 11, 0, 3)]
    assert objects.get_many(keys) == [b"7", b"3", None, b"0", b"3"]
    assert objects.get_many([]) == []


def test_prefetched_files_are_there_and_missing_ones_are_reported_later(place: Place) -> None:
    objects = place.objects
    for number in range(4):
        objects.put(f"many/{number}", b"%d" % number)
    objects.prefetch([f"many/{number}" for number in range(6)])
    objects.prefetch([])
    assert [objects.local_path(f"many/{number}").read_bytes() for number in range(4)] == [b"0", b"1", b"2", b"3"]
    with pytest.raises(ObjectNotFound):
        objects.local_path("many/5")


def test_several_are_deleted_and_those_missing_are_no_error(place: Place) -> None:
    objects = place.objects
    for number in range(5):
        objects.put(f"many/{number}", b"x")
    assert objects.local_path("many/1").read_bytes() == b"x"
    objects.delete_many(["many/1", "many/7", "many/3"])
    objects.delete_many([])
    assert keys_of(objects) == ["many/0", "many/2", "many/4"]
    with pytest.raises(ObjectNotFound):
        objects.local_path("many/1")


def test_ranges(place: Place) -> None:
    objects = place.objects
    objects.put("key", b"0123456789")
    assert objects.get("key", 3) == b"3456789"
    assert objects.get("key", 3, 4) == b"3456"
    assert objects.get("key", 8, 5) == b"89"
    assert objects.get("key", 0, 10) == b"0123456789"


def test_a_missing_object_is_not_found(place: Place) -> None:
    objects = place.objects
    with pytest.raises(ObjectNotFound, match="a/none"):
        objects.get("a/none")
    with pytest.raises(ObjectNotFound, match="a/none"):
        objects.local_path("a/none")
    objects.delete("a/none")
    assert keys_of(objects, "a/") == []


def test_put_replaces_and_if_absent_does_not(place: Place) -> None:
    objects = place.objects
    objects.put("key", b"one", if_absent=True)
    with pytest.raises(ConditionFailed, match="key"):
        objects.put("key", b"two", if_absent=True)
    assert objects.get("key") == b"one"
    objects.put("key", b"three")
    assert objects.get("key") == b"three"


def test_upload_consumes_a_scratch_file(place: Place) -> None:
    objects = place.objects
    scratch = objects.temporary_path("work")
    scratch.write_bytes(b"content")
    objects.upload("folder/key", scratch)
    assert not scratch.exists()
    assert objects.get("folder/key") == b"content"
    assert objects.local_path("folder/key").read_bytes() == b"content"


def test_scratch_files_are_no_objects(place: Place) -> None:
    place.objects.temporary_path("half written").write_bytes(b"half")
    assert keys_of(place.objects) == []


def test_a_map_survives_the_deletion_of_its_object(place: Place) -> None:
    objects = place.objects
    objects.put("key", b"x" * 100_000)
    with objects.local_path("key").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    objects.delete("key")
    with pytest.raises(ObjectNotFound):
        objects.get("key")
    objects.put("key", b"y" * 10)
    assert mapped[:] == b"x" * 100_000
    mapped.close()


def test_a_map_survives_a_put_over_its_object(place: Place) -> None:
    objects = place.objects
    objects.put("key", b"x" * 100_000)
    with objects.local_path("key").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    objects.put("key", b"short")
    assert mapped[:] == b"x" * 100_000
    mapped.close()


def test_listing_says_size_and_time(place: Place) -> None:
    began = time.time()
    place.objects.put("folder/key", b"12345")
    (info,) = place.objects.list("folder/")
    assert (info.key, info.size) == ("folder/key", 5)
    assert began - 5 < info.modified < time.time() + 5


_numbers = count()
SEGMENTS = st.text("ab-.0", min_size=1, max_size=3).filter(lambda part: part not in (".", ".."))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(keys=st.sets(st.tuples(SEGMENTS, SEGMENTS), max_size=8), data=st.data())
def test_listing_is_by_prefix_in_order(place: Place, keys: set[tuple[str, str]], data: st.DataObject) -> None:
    objects, root = place.objects, f"root {next(_numbers)}"
    names = [f"{root}/{first}x/{second}" for first, second in keys]
    for name in names:
        objects.put(name, b"")
    cut = data.draw(st.integers(0, 8))
    prefix = (data.draw(st.sampled_from(names)) if names else f"{root}/")[: len(root) + 1 + cut]
    expected = sorted(name for name in names if name.startswith(prefix))
    assert keys_of(objects, prefix) == expected
    after = data.draw(st.sampled_from([*names, prefix, prefix + "~"]))
    assert [info.key for info in objects.list(prefix, after=after)] == [name for name in expected if name > after]
    for name in names:
        objects.delete(name)
    assert keys_of(objects, root) == []


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/", "../a", "a/../b", "a/./b", ".scratch/a"])
def test_keys_that_would_leave_the_store_are_refused(place: Place, key: str) -> None:
    with pytest.raises(InvalidArgument):
        place.objects.put(key, b"")
    with pytest.raises(InvalidArgument):
        place.objects.get(key)


def test_readers_see_complete_objects_or_none(place: Place) -> None:
    other, stop = place.again(), threading.Event()

    def work(number: int) -> int:
        if number == 0:
            for value in range(60):
                place.objects.put("key", bytes([value]) * 50_000)
                if value % 3 == 0:
                    place.objects.delete("key")
            stop.set()
            return 0
        torn = 0
        while not stop.is_set():
            try:
                found = other.get("key")
            except ObjectNotFound:
                continue
            torn += len(found) != 50_000 or len(set(found)) != 1
        return torn

    assert sum(in_threads(2, work)) == 0


def test_of_racing_threads_exactly_one_puts_first(place: Place) -> None:
    def work(number: int) -> list[int]:
        won = []
        for slot in range(25):
            try:
                place.objects.put(f"race/{slot}", b"%d" % number, if_absent=True)
            except ConditionFailed:
                continue
            won.append(slot)
        return won

    won = in_threads(4, work)
    assert sorted(slot for slots in won for slot in slots) == list(range(25))
    for number, slots in enumerate(won):
        assert all(place.objects.get(f"race/{slot}") == b"%d" % number for slot in slots)


@pytest.mark.slow
@pytest.mark.parametrize("adapter", params(OBJECTS, processes=True), indirect=True)
def test_of_racing_processes_exactly_one_puts_first(adapter: Adapter[Objects], folder: Path) -> None:
    won = in_processes(3, partial(put_first, adapter), folder)
    assert sorted(slot for slots in won for slot in slots) == list(range(25))


@pytest.mark.slow
def test_concurrent_puts_and_deletes(place: Place) -> None:
    """One deletes the last object of a folder while another puts the next one there."""

    def work(number: int) -> None:
        for slot in range(150):
            place.objects.put(f"deep/folder/{number}-{slot}", b"x")
            place.objects.delete(f"deep/folder/{number}-{slot}")

    in_threads(3, work)
    assert keys_of(place.objects) == []
