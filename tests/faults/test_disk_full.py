"""Full disk: writes fail with a clear error, reads continue, and no acknowledged write is lost.

Once there is space again, writes succeed. The disk is a small tmpfs where tests may mount one (root, Linux), else a
limit on the file size.
"""

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, start
from tests.support.wire import Refused, Wire

DIMENSION = 64
BATCH = 50
MOUNTED = "16m"
EAGER = {"AFTERGLOW_FLUSH_OPS": "300", "AFTERGLOW_FLUSH_IDLE_SECONDS": "0.2", "AFTERGLOW_LOG_INLINE_MAX_BYTES": "20000"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of a few megabytes."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root on Linux")
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={MOUNTED}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine mounts nothing for us")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _batch(number: int) -> dict[str, object]:
    return {
        "ids": [f"{number}-{row}" for row in range(BATCH)],
        "embeddings": [[(number * row + index) % 97 / 8 for index in range(DIMENSION)] for row in range(BATCH)],
        "documents": [f"document {row} of batch {number} " + "x" * 200 for row in range(BATCH)],
    }


def _write_until_refused(wire: Wire, collection: str, first: int, end: int) -> tuple[int, Refused | None]:
    """The number of the first batch that was not acknowledged, and the error that refused it."""
    for number in range(first, end):
        try:
            wire.write(collection, "add", _batch(number))
        except Refused as refusal:
            return number, refusal
    return end, None


def _check(wire: Wire, collection: str, acknowledged: int) -> None:
    """Every acknowledged batch is complete; nothing of a refused batch is there."""
    response = wire.get(collection, include=["documents"])
    expected = [f"{number}-{row}" for number in range(acknowledged) for row in range(BATCH)]
    assert response["ids"] == expected
    assert all(response["documents"])
    assert wire.count(collection) == len(expected)


def _assert_clear(refusal: Refused | None) -> None:
    assert refusal is not None, "the disk never filled up"
    assert refusal.status == 507, refusal
    assert "space" in refusal.text, refusal


@pytest.mark.slow
def test_a_full_disk(small_disk: Path) -> None:
    """Fill it, read, free space, write again, restart."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (6 * 1024 * 1024))
    data = small_disk / "data"
    server = start(data, env=EAGER)
    try:
        with server.client() as client:
            wire = Wire(client)
            collection = wire.create("filling")
            acknowledged, refusal = _write_until_refused(wire, collection, 0, 2000)
            _assert_clear(refusal)
            _check(wire, collection, acknowledged)
            assert len(wire.query(collection, [[1.0] * DIMENSION], n_results=5)["ids"][0]) == 5
            ballast.unlink()
            more, refusal = _write_until_refused(wire, collection, acknowledged, acknowledged + 5)
            assert refusal is None, refusal
            _check(wire, collection, more)
        server.kill()
        server = start(data, env=EAGER)
        with server.client() as client:
            _check(Wire(client), collection, more)
    finally:
        server.kill()


def _fill(path: Path) -> None:
    """Extend the file until the file system is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(descriptor, b"x" * 4096):
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    finally:
        os.close(descriptor)


@pytest.mark.slow
def test_starting_on_a_full_disk(small_disk: Path) -> None:
    """Existing records can be read and writes are refused; with free space again everything is there."""
    data = small_disk / "data"
    server = start(data, env=EAGER)
    with server.client() as client:
        wire = Wire(client)
        collection = wire.create("filling")
        acknowledged, _ = _write_until_refused(wire, collection, 0, 10)
    server.kill()
    ballast = small_disk / "ballast"
    _fill(ballast)
    server = start(data, env=EAGER)
    try:
        with server.client() as client:
            _check(Wire(client), collection, acknowledged)
            _assert_clear(_write_until_refused(Wire(client), collection, acknowledged, acknowledged + 50)[1])
        ballast.unlink()
        server.kill()
        server = start(data, env=EAGER)
        with server.client() as client:
            _check(Wire(client), collection, acknowledged)
    finally:
        server.kill()


@pytest.mark.slow
def test_a_full_disk_is_emptied_through_the_api(small_disk: Path) -> None:
    """Deletions and drops succeed on a disk without a free byte, and what they free can be written again."""
    data = small_disk / "data"
    env = {**EAGER, "AFTERGLOW_RETENTION_SECONDS": "0", "AFTERGLOW_GC_GRACE_SECONDS": "1"}
    server = start(data, env=env)
    try:
        with server.client() as client:
            wire = Wire(client)
            collection, other = wire.create("filling"), wire.create("other")
            wire.write(other, "add", _batch(0))
            _, refusal = _write_until_refused(wire, collection, 0, 2000)
            _assert_clear(refusal)
            _fill(small_disk / "ballast")
            assert os.statvfs(small_disk).f_bavail == 0
            wire.delete(other, {"ids": ["0-1"]})
            assert wire.count(other) == BATCH - 1
            written, refused = _write_until_refused(wire, other, 1, 2)
            if refused is not None:  # or the indexer has removed meanwhile what nobody needs any more
                _assert_clear(refused)
            wire.call("DELETE", "/collections/filling")
            assert wire.count(other) == written * BATCH - 1
            (small_disk / "ballast").unlink()
        server.kill()
        time.sleep(1.5)  # the grace time
        # What failed flushes left is gone, and the drop is carried out.
        server = start(data, env=env)
        with server.client() as client:
            wire, deadline = Wire(client), time.monotonic() + 60
            end = written + 4
            more, refusal = _write_until_refused(wire, other, written, end)
            while refusal is not None:
                assert time.monotonic() < deadline, refusal
                time.sleep(0.5)
                more, refusal = _write_until_refused(wire, other, more, end)
            assert wire.count(other) == more * BATCH - 1
    finally:
        server.kill()


def _limit(server: Server, size: int) -> None:
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process can be set on Linux only")
def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """The file size limit is hit in the middle of a write; without it, writes succeed again."""
    server = start(
        tmp_path / "data", env={**EAGER, "AFTERGLOW_FLUSH_IDLE_SECONDS": "3600", "AFTERGLOW_FLUSH_OPS": "100000"}
    )
    try:
        with server.client() as client:
            wire = Wire(client)
            collection = wire.create("filling")
            acknowledged, refusal = _write_until_refused(wire, collection, 0, 10)
            assert refusal is None
            _limit(server, 16_384)
            acknowledged, refusal = _write_until_refused(wire, collection, acknowledged, acknowledged + 200)
            assert refusal is not None
            assert refusal.status in (503, 507), refusal
            _check(wire, collection, acknowledged)
            _limit(server, resource.RLIM_INFINITY)
            more, refusal = _write_until_refused(wire, collection, acknowledged, acknowledged + 5)
            assert refusal is None, refusal
            _check(wire, collection, more)
    finally:
        server.kill()
