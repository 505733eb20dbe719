"""Which folders and files are closed to others, and which are left as they are."""

import os
from pathlib import Path

import pytest

from afterglow.storage.private_folder import make_private, make_private_file

NAMES = frozenset({"ours"})


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_a_new_folder_is_private_and_its_parents_are_usual(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_private(folder, NAMES)
    assert mode(folder) == 0o700
    assert mode(folder.parent) != 0o700


@pytest.mark.parametrize(
    ("before", "holds", "after"),
    [
        (0o755, [], 0o700),
        (0o777, ["ours"], 0o700),
        (0o755, ["ours", "foreign"], 0o755),
        (0o1777, [], 0o1777),
        (0o770, ["ours"], 0o770),
        (0o710, [], 0o710),
    ],
)
def test_an_existing_folder_is_tightened_only_if_it_is_ours(
    tmp_path: Path, before: int, holds: list[str], after: int
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in holds:
        (folder / name).touch()
    folder.chmod(before)
    make_private(folder, NAMES)
    assert mode(folder) == after


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_folder_of_another_user_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o777)
    os.chown(folder, 12345, 12345)
    make_private(folder, NAMES)
    assert mode(folder) == 0o777


def test_a_file_that_others_can_reach_is_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_text("kept")
    old.chmod(0o644)
    for file in (new, old):
        make_private_file(file)
        assert mode(file) == 0o600
    assert old.read_text() == "kept"
    tmp_path.chmod(0o750)
    old.chmod(0o640)
    make_private_file(old)
    assert mode(old) == 0o640
