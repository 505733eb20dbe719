"""Each way in which an object may differ from its checksum is reported."""

import pytest
import xxhash

from afterglow.errors import Unavailable
from afterglow.jobs import checksums
from afterglow.jobs.checksums import DAMAGED, MISSING, checksum_problem
from afterglow.segment.array_file import FileRef
from tests.jobs.environment import Environment
from tests.support.faulty import Fault, Faults, nth
from tests.support.stores import with_faults

DATA = bytes(range(256)) * 4


def reference(data: bytes, size: int | None = None) -> FileRef:
    return FileRef("object", len(data) if size is None else size, xxhash.xxh3_128(data).hexdigest())


@pytest.mark.parametrize("chunk_bytes", [100, 256, 2**20])
@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        (DATA, None),
        (DATA[:-1], DAMAGED),
        (b"", DAMAGED),
        (b"\x01" + DATA[1:], DAMAGED),
        (DATA[:-1] + b"\x00", DAMAGED),
        (None, MISSING),
    ],
)
def test_stored_data(
    env: Environment, monkeypatch: pytest.MonkeyPatch, stored: bytes | None, problem: str | None, chunk_bytes: int
) -> None:
    monkeypatch.setattr(checksums, "_CHUNK_BYTES", chunk_bytes)
    if stored is not None:
        env.stores.objects.put("object", stored)
    assert checksum_problem(env.stores.objects, reference(DATA)) == problem


def test_an_empty_object(env: Environment) -> None:
    env.stores.objects.put("object", b"")
    assert checksum_problem(env.stores.objects, reference(b"")) is None


def test_an_unavailable_store_is_no_damage(env: Environment) -> None:
    env.stores.objects.put("object", DATA)
    objects = with_faults(env.stores, Faults(nth(0, Fault.REFUSED))).objects
    with pytest.raises(Unavailable):
        checksum_problem(objects, reference(DATA))
