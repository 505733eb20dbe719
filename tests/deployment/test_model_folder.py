"""The local model has a place even where the home directory has none."""

from dataclasses import replace
from pathlib import Path

import pytest

from afterglow.deployment.aws import open_aws
from afterglow.deployment.base import NullQueue
from afterglow.deployment.local import open_local
from afterglow.deployment.model_folder import with_model_folder
from afterglow.settings import AWS_DEFAULTS, Settings, System

CHROMA = Settings().embedding_model_dir
WITHIN = Path("models") / "all-MiniLM-L6-v2"


def folder_of(settings: Settings, parent: Path) -> str:
    return with_model_folder(settings, parent).embedding_model_dir


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory where nothing can be created, not even by root: a file is in the way."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".cache").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_chromas_folder_where_it_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_of(Settings(), tmp_path / "data") == CHROMA


def test_within_the_data_where_it_cannot(tmp_path: Path, home: Path) -> None:
    del home
    assert folder_of(Settings(), tmp_path / "data") == str(tmp_path / "data" / WITHIN)
    assert folder_of(Settings(embedding_model_dir="/mine"), tmp_path / "data") == "/mine"


def test_a_user_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def expanduser(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", expanduser)
    assert folder_of(Settings(), tmp_path) == str(tmp_path / WITHIN)


@pytest.mark.parametrize("below", ["", "onnx"])
def test_a_model_that_is_there_is_used_though_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    there = Path(CHROMA).expanduser() / below
    there.mkdir(parents=True)
    (there / "model.onnx").touch()
    monkeypatch.setattr("os.access", lambda path, mode: mode == 4 and Path(path).exists())
    assert folder_of(Settings(), tmp_path / "data") == CHROMA


def test_every_deployment_has_it(tmp_path: Path, home: Path) -> None:
    del home
    local = open_local(tmp_path / "data", System())
    stores = local.stores(Settings(), System(), NullQueue())
    assert stores.settings.embedding_model_dir == str(tmp_path / "data" / WITHIN)
    stores.table.close()
    settings = replace(AWS_DEFAULTS, table="t", bucket="b", cache_dir=str(tmp_path / "cache"))
    account = open_aws(settings, System()).stores(settings, System(), NullQueue())
    assert account.settings.embedding_model_dir == str(tmp_path / "cache" / WITHIN)
