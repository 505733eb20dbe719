"""Temporary files: those of a process that has ended go at once, those of a living one stay."""

import os
import subprocess
import sys
from pathlib import Path

from afterglow.settings import System
from afterglow.storage.local.objects import DirectoryObjects

PROGRAM = """
import sys
from pathlib import Path
from afterglow.settings import System
from afterglow.storage.local.objects import DirectoryObjects
objects = DirectoryObjects(Path(sys.argv[1]), System())
path = objects.temporary_path("left")
path.write_bytes(bytes(1000))
print(path, flush=True)
sys.stdin.read()
"""


def test_the_files_of_an_ended_process_go_at_once(folder: Path) -> None:
    mine = DirectoryObjects(folder, System())
    own = mine.temporary_path("own")
    own.write_bytes(b"1")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        left = Path(child.stdout.readline().strip())
        mine.remove_abandoned_files()
        assert left.exists()
        child.kill()
    mine.remove_abandoned_files()
    assert not left.parent.exists()
    assert own.exists()
    assert sorted(path.name for path in (folder / ".scratch").iterdir()) == sorted(
        [own.parent.name, f"{own.parent.name}.lock"]
    )


def test_nothing_outside_is_removed(folder: Path, tmp_path: Path) -> None:
    objects = DirectoryObjects(folder, System())
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"1")
    scratch = folder / ".scratch"
    (scratch / "aaaa").symlink_to(outside)
    (scratch / "aaaa.lock").write_bytes(b"")
    (scratch / "bbbb.lock").symlink_to(outside / "file")
    os.mkfifo(scratch / "cccc.lock")
    objects.remove_abandoned_files()
    assert (outside / "file").read_bytes() == b"1"


def test_a_removed_folder_is_made_again(folder: Path) -> None:
    objects = DirectoryObjects(folder, System())
    first = objects.temporary_path("a")
    first.parent.rmdir()
    objects.temporary_path("b").write_bytes(b"1")
    objects.put("key", b"value")
    assert objects.get("key") == b"value"
