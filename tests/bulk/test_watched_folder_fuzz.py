"""A watched folder with every kind of entry, changed by others at any moment.

Whatever is in the folder, a sound file behind it is imported, nothing outside the folder is read or changed, and the
server lives. The victims are in the test's own folder.
"""

import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from afterglow.bulk import contained_paths, finished_files, watched_folder
from afterglow.bulk.directory_watcher import DirectoryWatcher
from afterglow.bulk.finished_files import move_finished
from afterglow.bulk.mounts import mount_of, mount_points
from afterglow.bulk.types import ImportRejected, ImportReport
from afterglow.bulk.watched_folder import DONE, FAILED, list_files, open_watched_file
from afterglow.collection import Engine
from afterglow.deployment.base import NullQueue
from afterglow.deployment.local import open_local
from afterglow.settings import Settings, System
from tests.bulk.test_directory_watcher_links import fingerprint, put, wait_until

SECRET = b'{"id": "secret", "embedding": [9, 9]}\n'
SOUND = b'{"id": "sound", "embedding": [1, 2]}\n'
HOSTILE = "t/d/col"
SOUND_FILES = (f"{HOSTILE}/~sound.jsonl", "~/d/col/sound.jsonl")
"""Behind the hostile entries: of their own folder, and of folders that are replaced."""
NAMES = (
    *(b"a.jsonl", b"a.npy", b"a.jsonl.import.json", b"b.csv", b"sub", b"\xff.jsonl", b"\xfe\xff", b"new\nline.jsonl"),
    *(b"\x1b[31m.jsonl", b" .jsonl", b"-rf.jsonl", b"n" * 249 + b".jsonl", b"\xe2\x80\xae.jsonl", b"$(x).jsonl"),
)


def outside(folder: Path) -> Path:
    """Victims with the structure of a watched folder, so that a followed link finds files to import and to move."""
    names = (
        "t/d/col/a.jsonl",
        "d/col/a.jsonl",
        "col/a.jsonl",
        "a.jsonl",
        "a.npy",
        "a.jsonl.import.json",
        "sub/a.jsonl",
    )
    for name in names:
        put(folder / name, SECRET)
    return folder


class Vandal:
    """Makes and replaces entries below a folder, at random places."""

    def __init__(self, imports: Path, victims: Path, seed: int) -> None:
        self._imports, self._victims, self._random = imports, victims, random.Random(seed)
        self._away = imports.parent / "away"
        self._away.mkdir(exist_ok=True)
        self._count = 0
        self._kinds: list[Callable[[Path], object]] = [
            self._link,
            self._loop,
            self._file,
            self._folder,
            os.mkfifo,
            self._socket,
            lambda path: path.hardlink_to(self._imports / HOSTILE / "a.jsonl"),
            lambda path: os.mknod(path, stat.S_IFCHR, os.makedev(60, 0)),  # a number without a driver
        ]

    def strike(self) -> None:
        """Replace one entry by something else; the sound files and the folders on their way stay."""
        parents = [HOSTILE, f"{HOSTILE}/sub", "u", "u/d", "u/d/col", "", *([DONE, FAILED, f"{DONE}/u"])]
        names = [os.fsdecode(name) for name in NAMES]
        parent = self._random.choice(parents)
        name = self._random.choice(["u", "u"] if not parent else ["d", "col", *names])
        if parent == DONE and name in ("t", "~"):
            return
        path = self._imports / parent / name
        with suppress(OSError):
            if os.path.realpath(path.parent) != str(path.parent):
                return  # a link leads out of the folder, or nowhere
            if self._random.random() < 0.7 and os.path.lexists(path):
                self._count += 1
                path.rename(self._away / str(self._count))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._random.choice(self._kinds)(path)

    def _link(self, path: Path) -> None:
        targets = ["", "t", "d", "col", "sub", "t/d", "t/d/col", "a.jsonl", "a.npy", "missing"]
        path.symlink_to(self._victims / self._random.choice(targets))

    def _loop(self, path: Path) -> None:
        path.symlink_to(self._random.choice([Path(path.name), Path(".."), self._imports]))

    def _file(self, path: Path) -> None:
        with path.open("xb") as file:
            file.write(self._random.choice([SOUND, b"", b"{", b"\0" * 99, b'{"id": 1}\n']))

    def _folder(self, path: Path) -> None:
        path.mkdir()
        put(path / "d" / "col" / "a.jsonl", SOUND)
        put(path / "a.jsonl", SOUND)

    def _socket(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))


class InterruptedOs:
    """The module `os`, in which something happens before each call."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        value = getattr(os, name)
        if name not in ("open", "stat", "rename", "mkdir", "listdir", "unlink", "fstat"):
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            self._happens()
            return value(*arguments, **options)

        return call


@pytest.mark.parametrize("round_number", range(5))
def test_whatever_changes_between_two_calls(
    round_number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    seed = int.from_bytes(os.urandom(4))
    print("seed", seed)
    victims, imports = outside(tmp_path / "outside"), tmp_path / "imports"
    for name in SOUND_FILES:
        put(imports / name, SOUND)
    before = fingerprint(victims, without=tmp_path)
    chance, vandal = random.Random(seed), Vandal(imports, victims, seed)
    for _ in range(40):
        vandal.strike()
    interrupted = InterruptedOs(lambda: vandal.strike() if chance.random() < 0.1 else None)
    for module in (contained_paths, finished_files, watched_folder):
        monkeypatch.setattr(module, "os", interrupted)
    for _ in range(4):
        for listed in list_files(imports):
            with suppress(OSError, ImportRejected):
                import_one(imports, listed.relative_path)
    for name in SOUND_FILES:
        assert not (imports / name).exists(), name
        assert (imports / DONE / name).read_bytes() == SOUND
    assert fingerprint(victims, without=tmp_path) == before


def import_one(imports: Path, relative_path: str) -> None:
    """What the importing process does with a file, without a collection."""
    file = open_watched_file(imports, relative_path)
    if file is None:
        return
    content = file.source.read(0, 10_000)
    for name in ("a.npy", f"{file.source.parts[-1]}.import.json"):
        sibling = file.source.sibling(name)
        content += b"" if sibling is None else sibling.read(0, 10_000)
    with file.source.local_copy([]) as path:
        content += path.read_bytes()
    assert b"secret" not in content
    file.source.reload()
    move_finished(imports, file, ImportReport("0123456789", "done", "a.jsonl", 2, "t", "d", "c"))


@contextmanager
def bind_mount(source: Path, target: Path) -> Iterator[None]:
    """A mount of the same file system, where this machine lets us."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("a mount takes root on Linux")
    if subprocess.run(["mount", "--bind", source, target], capture_output=True, check=False).returncode:
        pytest.skip("this machine mounts nothing for us")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", target], check=True)


def test_a_mount_of_the_same_file_system_is_skipped(tmp_path: Path) -> None:
    """Its device is that of the watched folder."""
    victims, imports = outside(tmp_path / "outside"), tmp_path / "imports"
    put(imports / "t/d/col/sound.jsonl")
    put(imports / "t/d/col/file mounted.jsonl")
    put(imports / "t/d/col/sound.npy")
    (imports / "u").mkdir()
    before = fingerprint(victims, without=tmp_path)
    with (
        bind_mount(victims / "t", imports / "u"),
        bind_mount(victims / "a.jsonl", imports / "t/d/col/file mounted.jsonl"),
        bind_mount(victims / "a.npy", imports / "t/d/col/sound.npy"),
    ):
        skipped: dict[str, str] = {}
        assert [file.source.name for file in list_files(imports, skipped.__setitem__)] == ["sound.jsonl"]
        assert set(skipped) == {"u", "t/d/col/file mounted.jsonl", "t/d/col/sound.npy"}
        assert set(skipped.values()) == {"it is another mount"}
        assert open_watched_file(imports, "u/d/col/a.jsonl") is None
        assert open_watched_file(imports, "t/d/col/file mounted.jsonl") is None
        file = open_watched_file(imports, "t/d/col/sound.jsonl")
        assert file is not None
        assert file.source.sibling("sound.npy") is None
    assert fingerprint(victims, without=tmp_path) == before


def test_mounts_are_distinguished() -> None:
    with open(__file__) as file:
        mount = mount_of(file.fileno())
    assert mount_of(9_999) == -1
    if sys.platform.startswith("linux"):
        assert mount > 0
        assert {"/", "/proc"} <= mount_points()


@pytest.mark.slow
def test_a_server_and_a_vandal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's thread and its real importing process, while another thread keeps replacing entries."""
    seed = int.from_bytes(os.urandom(4))
    print("seed", seed)
    data, victims = tmp_path / "data", outside(tmp_path / "outside")
    imports = data / "imports"
    imports.mkdir(parents=True)
    for name in ("_POLL_SECONDS", "_STABLE_SECONDS", "_RETRY_SECONDS"):
        monkeypatch.setattr(f"afterglow.bulk.directory_watcher.{name}", 0.05)
    system = System()
    engine = Engine(open_local(data, system).stores(Settings(), system, NullQueue()))
    engine.catalog.ensure_defaults()
    for tenant in ("t", "u", "~"):
        engine.catalog.create_tenant(tenant)
        engine.catalog.create_database(tenant, "d")
    put(imports / HOSTILE / "a.jsonl", SOUND)
    before, vandal = fingerprint(victims, without=tmp_path), Vandal(imports, victims, seed)
    for _ in range(60):
        vandal.strike()
    stop = threading.Event()

    def keep_striking() -> None:
        while not stop.wait(0.02):
            vandal.strike()

    watcher, thread = DirectoryWatcher(data, engine), threading.Thread(target=keep_striking)
    watcher.start()
    thread.start()
    try:
        for number in range(2):
            files = [imports / f"{name.removesuffix('.jsonl')}-{number}.jsonl" for name in SOUND_FILES]
            for file in files:
                put(file, orjson.dumps({"id": f"{number}", "embedding": [1, 2]}) + b"\n")
            wait_until(lambda: all((imports / DONE / file.relative_to(imports)).exists() for file in files))  # noqa: B023
        assert watcher._thread.is_alive()
    finally:
        stop.set()
        thread.join()
        watcher.close()
        engine.close()
        shutil.rmtree(data / "away", ignore_errors=True)
    assert fingerprint(victims, without=tmp_path) == before
