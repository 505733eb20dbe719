"""The record of a build: read by others only while its builder is alive, and never half of it."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from afterglow.deployment.file_lock import file_lock
from afterglow.storage.builds import Build, Builds

BUILD = Build("a collection", "a segment", 87_500, 0.25)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "compactor.lock"


def test_the_last_record_of_the_holder_is_current(path: Path) -> None:
    builds = Builds(path)
    assert builds.current() is None, "no file"
    with file_lock(path, wait=True):
        assert builds.current() is None
        for share in (0.25, 0.5):
            builds.report(replace(BUILD, share=share))
            assert builds.current() == replace(BUILD, share=share)
        builds.clear()
        assert builds.current() is None


def test_a_record_ends_with_its_builder_and_the_next_one_starts_without_it(path: Path) -> None:
    builds = Builds(path)
    with file_lock(path, wait=True):
        builds.report(BUILD)
    assert builds.current() is None
    assert path.stat().st_size > 0
    with file_lock(path, wait=False) as is_held:
        assert is_held
        assert builds.current() is None


def test_a_reader_takes_no_lock_that_stays(path: Path) -> None:
    with file_lock(path, wait=True):
        pass
    assert Builds(path).current() is None
    with file_lock(path, wait=False) as is_held:
        assert is_held


@pytest.mark.parametrize("position", [0, 7, 8, 100, 511])
def test_half_a_record_is_none(path: Path, position: int) -> None:
    with file_lock(path, wait=True):
        Builds(path).report(BUILD)
        damaged = bytearray(path.read_bytes())
        assert len(damaged) == 512
        damaged[position] ^= 1
        path.write_bytes(damaged)
        assert Builds(path).current() is None


@pytest.mark.slow
def test_the_record_of_a_killed_builder_is_none(path: Path) -> None:
    source = """
import sys
from pathlib import Path
from afterglow.deployment.file_lock import file_lock
from afterglow.storage.builds import Build, Builds
path = Path(sys.argv[1])
with file_lock(path, wait=True):
    Builds(path).report(Build("a collection", "a segment", 87_500, 0.25))
    print("reported", flush=True)
    sys.stdin.read()
"""
    builder = subprocess.Popen(
        [sys.executable, "-c", source, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "reported\n"
        assert Builds(path).current() == BUILD
        os.kill(builder.pid, signal.SIGKILL)
        builder.wait()
        assert Builds(path).current() is None
