"""Array files: round trips, and detection of any damage."""

import contextlib
import fcntl
import gc
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.errors import Corrupt
from afterglow.segment import array_file
from afterglow.segment.array_file import ArrayStream, FileRef, MappedFile
from afterglow.storage import file_map
from afterglow.storage.ports import ObjectNotFound, Stores, TooManyOpenFiles

DTYPES = ("|u1", "|b1", "|i1", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8")
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@st.composite
def arrays(draw: st.DrawFn) -> NDArray[Any]:
    shape = draw(st.lists(st.integers(0, 5), min_size=1, max_size=2))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    size = int(np.prod(shape))
    raw = draw(st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize))
    if dtype == np.bool_:
        raw = bytes(byte & 1 for byte in raw)
    return np.frombuffer(raw, dtype).reshape(shape)


named = st.dictionaries(st.text(max_size=5), arrays(), max_size=4)
metas = st.dictionaries(st.text(max_size=3), st.none() | st.integers(-5, 5) | st.text(max_size=3), max_size=3)


def store_arrays(stores: Stores, kind: str, meta: dict[str, Any], given_arrays: dict[str, Any]) -> FileRef:
    scratch = stores.objects.temporary_path(stores.system.nonce())
    array_file.write(scratch, kind, meta, given_arrays)
    return array_file.upload(stores.objects, f"files/{stores.system.nonce()}", scratch)


def overwrite(stores: Stores, info: FileRef, data: bytes) -> None:
    stores.objects.local_path(info.key).write_bytes(data)


@SHARED
@given(named, metas)
def test_arrays_survive_the_round_trip(stores: Stores, given_arrays: dict[str, NDArray[Any]], meta: Any) -> None:
    info = store_arrays(stores, "some", meta, given_arrays)
    result_meta, result = MappedFile(stores.objects, info).arrays("some")
    assert result_meta == meta
    assert list(result) == list(given_arrays)
    for name, array in given_arrays.items():
        assert result[name].dtype == array.dtype
        assert result[name].shape == array.shape
        assert result[name].tobytes() == array.tobytes()
        assert not result[name].flags.writeable
        assert result[name].size == 0 or result[name].ctypes.data % 64 == 0


def test_streamed_chunks_are_one_array(stores: Stores) -> None:
    matrix = np.arange(30, dtype=np.float32).reshape(10, 3)
    chunks = (matrix[start : start + 4] for start in range(0, 10, 4))
    info = store_arrays(stores, "some", {}, {"m": ArrayStream("<f4", (10, 3), chunks), "after": np.arange(3)})
    _, result = MappedFile(stores.objects, info).arrays("some")
    assert (result["m"] == matrix).all()
    assert result["after"].tolist() == [0, 1, 2]


def test_other_dtypes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float16"[:4]):
        array_file.write(tmp_path / "x", "some", {}, {"float array": np.zeros(1, np.float16)})


@pytest.fixture(scope="module")
def sound(stores: Stores) -> tuple[FileRef, bytes]:
    """A file with a header, padding and two arrays, and its bytes."""
    given_arrays = {"small": np.arange(3, dtype=np.uint32), "large": np.arange(500, dtype=np.float64)}
    info = store_arrays(stores, "some", {"about": "it"}, given_arrays)
    return info, stores.objects.get(info.key)


LENGTHS = [0, 1, 4, 7, 8, 9, 63, 64, 65, 128, 191, 192, 193, 1_000, -4096, -64, -1]


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_truncated_file_is_corrupt_and_named(
    stores: Stores, sound: tuple[FileRef, bytes], length: int, verify: bool
) -> None:
    info, data = sound
    overwrite(stores, info, data[:length])
    with pytest.raises(Corrupt, match=info.key):
        MappedFile(stores.objects, info, verify=verify)


def test_a_longer_file_is_corrupt(stores: Stores, sound: tuple[FileRef, bytes]) -> None:
    info, data = sound
    overwrite(stores, info, data + b"\0")
    with pytest.raises(Corrupt, match=info.key):
        MappedFile(stores.objects, info, verify=False)


@SHARED
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_is_corrupt_and_named(
    stores: Stores, sound: tuple[FileRef, bytes], position: int, bit: int
) -> None:
    info, data = sound
    damaged = bytearray(data)
    damaged[position % len(data)] ^= 1 << bit
    overwrite(stores, info, bytes(damaged))
    with pytest.raises(Corrupt, match=info.key):
        MappedFile(stores.objects, info)


@settings(SHARED, max_examples=300)
@given(position=st.integers(0, 255), bit=st.integers(0, 7))
def test_without_checksums_a_damaged_header_is_at_worst_corrupt(
    stores: Stores, sound: tuple[FileRef, bytes], position: int, bit: int
) -> None:
    info, data = sound
    damaged = bytearray(data)
    damaged[position] ^= 1 << bit
    try:
        array_file.parse(memoryview(bytes(damaged)), "some", info.key)
    except Corrupt as error:
        if info.key not in str(error):
            raise


def test_a_missing_file_is_missing(stores: Stores) -> None:
    with pytest.raises(ObjectNotFound, match="files/none"):
        MappedFile(stores.objects, FileRef("files/none", 1, ""))


def test_a_file_of_another_kind_is_refused(stores: Stores) -> None:
    info = store_arrays(stores, "some", {}, {"a": np.arange(3)})
    with pytest.raises(Corrupt, match=info.key):
        MappedFile(stores.objects, info).arrays("other")


@pytest.mark.parametrize("change", ["cut", "flip", "grow"])
def test_damage_under_an_open_file_is_noticed_before_it_is_touched(stores: Stores, change: str) -> None:
    info = store_arrays(stores, "some", {}, {"a": np.arange(10_000)})
    opened = MappedFile(stores.objects, info)
    opened.verify_unchanged()
    with opened.path.open("r+b") as file:
        match change:
            case "cut":
                file.truncate(100)
            case "flip":
                file.seek(5_000)
                file.write(b"\xff\xff\xff")
            case _:
                file.seek(0, os.SEEK_END)
                file.write(b"more")
    os.utime(opened.path, (1, 1))
    for _ in range(2):
        with pytest.raises(Corrupt, match=info.key):
            opened.verify_unchanged()


def test_a_touched_but_sound_file_goes_on(stores: Stores) -> None:
    info = store_arrays(stores, "some", {}, {"a": np.arange(100)})
    opened = MappedFile(stores.objects, info)
    os.utime(opened.path, (1, 1))
    opened.verify_unchanged()
    opened.verify_unchanged()


def test_released_pages_are_read_again(stores: Stores) -> None:
    path = stores.objects.temporary_path("dropped")
    array_file.write(path, "some", {}, {"a": np.arange(100_000)})
    mapped = array_file.map_arrays(path, "some")["a"]
    for array in (mapped, mapped[10:], np.arange(3)):
        before = int(array.sum())
        file_map.release_pages(array)
        assert array.sum() == before


def test_a_file_in_use_is_locked_as_long_as_anything_refers_to_its_arrays(stores: Stores) -> None:
    info = store_arrays(stores, "some", {}, {"a": np.arange(4)})
    path = stores.objects.local_path(info.key)
    evicting: Any = Evicting(stores, 0)

    def is_free() -> bool:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    assert is_free()
    array = MappedFile(evicting, info).arrays("some")[1]["a"]
    assert not is_free()
    assert array.tolist() == [0, 1, 2, 3]
    del array
    assert is_free()


def test_a_file_that_stays_needs_no_descriptor(stores: Stores) -> None:
    info = store_arrays(stores, "some", {}, {"a": np.arange(1_000)})
    before = open_descriptors()
    opened = [MappedFile(stores.objects, info) for _ in range(20)]
    assert open_descriptors() == before
    evicting: Any = Evicting(stores, 0)
    locked = [MappedFile(evicting, info) for _ in range(20)]
    assert open_descriptors() == before + 20
    assert {int(mapped.arrays("some")[1]["a"].sum()) for mapped in (*opened, *locked)} == {499_500}


def test_a_map_outlives_its_file(stores: Stores) -> None:
    info = store_arrays(stores, "some", {}, {"a": np.arange(1_000)})
    opened = MappedFile(stores.objects, info)
    stores.objects.delete(info.key)
    opened.verify_unchanged()
    array = opened.arrays("some")[1]["a"][500:]
    del opened
    gc.collect()
    assert array.sum() == 374_750
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_without_a_descriptor_the_error_says_so(stores: Stores) -> None:
    info = store_arrays(stores, "some", {}, {"a": np.arange(4)})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[0] + 1, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(TooManyOpenFiles, match="the limit of open files is reached"):
            MappedFile(stores.objects, info)
        with pytest.raises(TooManyOpenFiles):
            stores.objects.get(info.key)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)
    MappedFile(stores.objects, info)


def open_descriptors() -> int:
    return psutil.Process().num_fds()


class Evicting:
    """Objects whose local copies are evicted right after the fetch, `times` times."""

    evicts = True

    def __init__(self, stores: Stores, times: int) -> None:
        self.inner = stores.objects
        self.times = times

    def local_path(self, key: str) -> Path:
        path = self.inner.local_path(key)
        if not self.times:
            return path
        self.times -= 1
        return path.with_name("gone")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_a_copy_evicted_before_it_was_opened_is_fetched_again(stores: Stores) -> None:
    info = store_arrays(stores, "some", {}, {"a": np.arange(4)})
    evicting: Any = Evicting(stores, 2)
    assert MappedFile(evicting, info).arrays("some")[1]["a"].tolist() == [0, 1, 2, 3]
    hopeless: Any = Evicting(stores, 1_000)
    with pytest.raises(ObjectNotFound):
        MappedFile(hopeless, info)
