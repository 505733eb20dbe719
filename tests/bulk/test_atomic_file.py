"""A file is complete or absent."""

from pathlib import Path

import pytest

from afterglow.bulk.atomic_file import atomic_write, require_absent, require_folder
from afterglow.errors import AlreadyExists, NotFound
from afterglow.settings import System


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with atomic_write(path, System()) as scratch:
        scratch.write_bytes(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(AlreadyExists):
        require_absent(path)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with atomic_write(tmp_path / "a", System()) as scratch:
            scratch.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert list(tmp_path.iterdir()) == []
    require_absent(tmp_path / "a")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"{tmp_path / 'nosuch'}: no such directory, to write a in"):
        require_folder(tmp_path / "nosuch" / "a")
