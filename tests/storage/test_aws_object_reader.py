"""Reading spans over HTTP, from an S3 whose responses are late, damaged, cut, refused or of another version."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import botocore.session
import numpy as np
import pytest

from afterglow.deadline import time_limit
from afterglow.errors import Busy, Corrupt, Unavailable
from afterglow.metering import collect_usage
from afterglow.settings import System
from afterglow.storage.aws import object_reader
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.disk_cache import DiskCache
from afterglow.storage.aws.object_reader import ObjectReader, Part
from afterglow.storage.aws.objects import S3Objects
from afterglow.storage.aws.reader_store import open_reader
from afterglow.storage.ports import ObjectNotFound, Ranges
from afterglow.storage.range_checks import checksums
from tests.support.emulator.bucket import Buckets
from tests.support.emulator.client import RunningEmulator, running_emulator
from tests.support.emulator.weather import Weather

CONTENT = np.random.default_rng(6).integers(0, 255, 3_000_000, dtype=np.uint8)
CALM = Weather()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    folder = tmp_path_factory.mktemp("objects")
    (folder / "bucket").mkdir()
    with running_emulator(folder) as running, mock.patch.dict(os.environ, running.environment()):
        Buckets(folder).path("bucket", "a/key").write_bytes(CONTENT.data)
        yield running


@pytest.fixture
def reader(emulator: RunningEmulator) -> Iterator[ObjectReader]:
    emulator.set_weather(CALM)
    emulator.requests()
    reader = open_reader(botocore.session.get_session(), "bucket", System())
    yield reader
    reader.close()


@pytest.fixture
def objects(emulator: RunningEmulator, tmp_path: Path) -> Iterator[S3Objects]:
    emulator.set_weather(CALM)
    clients = Clients(System())
    yield S3Objects(clients, "bucket", DiskCache(tmp_path / "cache", 100_000_000), System())
    clients.forget_credentials()


@dataclass
class Consumer:
    """A span to be read, and what was delivered."""

    bounds: tuple[int, int]
    key: str = "a/key"
    etag: str | None = None
    parts: list[Part] = field(default_factory=list)

    def deliver(self, part: Part) -> None:
        self.parts.append(part)

    def is_right(self) -> bool:
        (part,) = self.parts
        return part.size == len(CONTENT) and bytes(part.data) == CONTENT[slice(*self.bounds)].tobytes()


def spans(count: int) -> list[Consumer]:
    return [Consumer((number * 1000, number * 1000 + 700)) for number in range(count)]


def ranges(*bounds: tuple[int, int]) -> Ranges:
    pairs = np.array(bounds, dtype=np.int64)
    offsets, lengths = pairs[:, 0], pairs[:, 1] - pairs[:, 0]
    return Ranges(offsets, lengths, checksums(CONTENT, offsets, lengths))


def test_spans_are_read_at_once(reader: ObjectReader, emulator: RunningEmulator) -> None:
    emulator.set_weather(Weather(median_ms=40, p99_ms=40.01))
    consumers = spans(30)
    with collect_usage() as usage:
        reader.read_spans(consumers)
    assert all(consumer.is_right() for consumer in consumers)
    requests = emulator.requests()
    assert max(request["start"] for request in requests[:30]) - requests[0]["start"] < 30 * 0.04
    assert 30 <= usage.calls["s3.GetObject"] <= 37
    assert usage.bytes_read == 30 * 700


def test_whole_objects_are_read(reader: ObjectReader) -> None:
    assert reader.read_objects(["a/key", "a/none"]) == [CONTENT.tobytes(), None]
    assert reader.read_objects([]) == []


def test_a_late_response_is_hedged(reader: ObjectReader, emulator: RunningEmulator) -> None:
    emulator.set_weather(CALM, {"kind": "late", "seconds": 6.0})
    consumers = spans(5)
    began = time.monotonic()
    reader.read_spans(consumers)
    assert time.monotonic() - began < 5.5
    assert all(consumer.is_right() for consumer in consumers)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503, "count": 4},
        {"kind": "status", "status": 500, "count": 4},
        {"kind": "short", "count": 4},
    ],
)
def test_an_attempt_that_fails_is_repeated(
    reader: ObjectReader, emulator: RunningEmulator, fault: dict[str, object]
) -> None:
    emulator.set_weather(CALM, fault)
    consumers = spans(3)
    reader.read_spans(consumers)
    assert all(consumer.is_right() for consumer in consumers)
    assert len(emulator.requests()) >= 6


@pytest.mark.parametrize(("status", "error"), [(503, Busy), (500, Unavailable)])
def test_a_service_that_goes_on_failing_is_unavailable(
    reader: ObjectReader,
    emulator: RunningEmulator,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    error: type[Exception],
) -> None:
    monkeypatch.setattr(object_reader, "MAX_SECONDS", 0.3)
    emulator.set_weather(CALM, {"kind": "status", "status": status, "count": 1_000})
    with pytest.raises(error, match="bucket bucket"):
        reader.read_spans(spans(3))


def test_a_request_that_has_no_time_left_is_refused(reader: ObjectReader, emulator: RunningEmulator) -> None:
    emulator.set_weather(CALM, {"kind": "late", "seconds": 9.0, "count": 100})
    began = time.monotonic()
    with pytest.raises(Unavailable, match="no response in time"), time_limit(0.3, time.monotonic):
        reader.read_spans(spans(3))
    assert time.monotonic() - began < 8.0
    emulator.set_weather(CALM)


def test_a_refusing_service_is_asked_again_until_it_accepts(reader: ObjectReader, emulator: RunningEmulator) -> None:
    emulator.set_weather(Weather(gets_per_second=60))
    consumers = spans(60)
    reader.read_spans(consumers)
    assert all(consumer.is_right() for consumer in consumers)
    assert any(request["status"] == 503 for request in emulator.requests())


def test_a_missing_object_is_not_found(reader: ObjectReader) -> None:
    with pytest.raises(ObjectNotFound, match="a/none"):
        reader.read_spans([Consumer((0, 10), key="a/none"), *spans(3)])


def test_damaged_bytes_are_read_again(objects: S3Objects, emulator: RunningEmulator) -> None:
    emulator.set_weather(CALM, {"kind": "damage"})
    (data,) = objects.need([(objects.lazy("a/key", len(CONTENT)), ranges((100, 500), (2_000_000, 2_900_000)))])
    assert (data[2_000_000:2_900_000] == CONTENT[2_000_000:2_900_000]).all()
    assert (data[100:500] == CONTENT[100:500]).all()


def test_bytes_that_stay_damaged_are_refused(objects: S3Objects, emulator: RunningEmulator) -> None:
    emulator.set_weather(CALM, {"kind": "damage", "count": 1_000})
    with pytest.raises(Corrupt, match="does not match a checksum at byte 100"):
        objects.need([(objects.lazy("a/key", len(CONTENT)), ranges((100, 500)))])


def test_two_versions_are_never_mixed(objects: S3Objects, emulator: RunningEmulator, tmp_path: Path) -> None:
    objects.put("replaced", CONTENT.data)
    reader = S3Objects(Clients(System()), "bucket", DiskCache(tmp_path / "other", 10**8), System())
    file = reader.lazy("replaced", len(CONTENT))
    reader.need([(file, ranges((0, 100)))])
    objects.put("replaced", CONTENT[::-1].tobytes())
    with pytest.raises(Corrupt, match="checksum"):
        reader.need([(file, ranges((1_000_000, 1_000_100)))])
    objects.put("replaced", CONTENT.data)
    (data,) = reader.need([(file, ranges((1_000_000, 1_000_100)))])
    assert (data[1_000_000:1_000_100] == CONTENT[1_000_000:1_000_100]).all()


ENDING = """
import contextlib, sys, threading, time
import botocore.session
from afterglow.errors import Unavailable
from afterglow.settings import System
from afterglow.storage.aws.reader_store import open_reader

class Consumer:
    key, bounds, etag = "a/key", (0, 10), None
    def deliver(self, part): pass

reader = open_reader(botocore.session.get_session(), "bucket", System())
reader.read_spans([Consumer()])
print("ready", flush=True)
sys.stdin.readline()

def read():
    # A daemon thread that prints while the process ends would abort it.
    with contextlib.suppress(Unavailable):
        reader.read_spans([Consumer() for _ in range(20)])

threading.Thread(target=read, daemon=True).start()
time.sleep(0.3)
"""


def test_a_process_ends_cleanly_with_requests_in_flight(emulator: RunningEmulator) -> None:
    emulator.set_weather(CALM)
    child = subprocess.Popen(
        [sys.executable, "-c", ENDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    emulator.set_weather(CALM, {"kind": "late", "seconds": 12.0, "count": 100})
    began = time.monotonic()
    try:
        _, errors = child.communicate("\n", timeout=30)
    finally:
        emulator.set_weather(CALM)
    assert (child.returncode, errors) == (0, "")
    assert time.monotonic() - began < 11


def test_a_missing_bucket_is_named(emulator: RunningEmulator) -> None:
    reader = open_reader(botocore.session.get_session(), "elsewhere", System())
    try:
        with pytest.raises(Unavailable, match="bucket elsewhere does not exist"):
            reader.read_objects(["a/key"])
    finally:
        reader.close()


def test_refused_access_is_named(reader: ObjectReader, emulator: RunningEmulator) -> None:
    emulator.set_weather(CALM, {"kind": "status", "status": 403, "count": 10})
    with pytest.raises(Unavailable, match="refused access"):
        reader.read_spans(spans(1))
