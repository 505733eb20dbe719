"""Files of a directory: what is opened, moves beside a concurrent delete, and errors of the system."""

import errno
import os
from pathlib import Path

import pytest

from afterglow.errors import StorageFull, Unavailable
from afterglow.storage.local.durable_files import map_errors, move_durably, open_regular
from afterglow.storage.ports import TooManyOpenFiles


def test_a_regular_file_alone_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "file", "rb", opener=open_regular) as file:
        assert file.read() == b"bytes"
    for name in ("link", "pipe", "."):
        with pytest.raises(FileNotFoundError, match="not a regular file"):
            open_regular(str(tmp_path / name), os.O_RDONLY)


def test_a_move_is_repeated_when_its_folder_was_removed(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "a" / "b" / "target"
    source.write_bytes(b"bytes")
    folders = [target.parent, target.parent.parent]

    def move() -> None:
        if folders:
            for folder in folders:
                folder.rmdir()
            folders.clear()
        source.replace(target)

    move_durably(target, move)
    assert target.read_bytes() == b"bytes"


def test_a_move_of_a_missing_file_ends(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move_durably(tmp_path / "a" / "target", lambda: (tmp_path / "source").replace(tmp_path / "a" / "target"))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StorageFull),
        (errno.EMFILE, TooManyOpenFiles),
        (errno.EACCES, Unavailable),
        (errno.EIO, Unavailable),
    ],
)
def test_an_error_of_the_system_names_the_file(tmp_path: Path, number: int, expected: type[Exception]) -> None:
    with pytest.raises(expected, match="object") as caught, map_errors(tmp_path / "object"):
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is expected
