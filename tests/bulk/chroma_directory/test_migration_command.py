"""`afterglow import --from-chroma` on directories of every generation, which Chroma's own server opens and upgrades."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from afterglow.cli.main import main
from tests.bulk.chroma_directory import damage
from tests.bulk.chroma_directory.conftest import ChromaCopy
from tests.bulk.chroma_directory.make import VERSIONS

pytestmark = pytest.mark.slow

COUNTS = {"angular": 41, "empty": 0, "plain": 65, "queued": 11}


def lines_of(counts: dict[str, int]) -> list[str]:
    return [
        f"default_tenant/default_database/{name}: {count} records; {count} compared: equal"
        for name, count in counts.items()
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sound_directory(
    version: str, copy_of: Callable[[str], ChromaCopy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parameters in the metadata, as until 0.6, are no difference, although Chroma shows defaults for them."""
    main(["import", "--from-chroma", str(copy_of(version).path), "--path", str(tmp_path / "data")])
    output = capsys.readouterr().out.splitlines()
    assert output == [*lines_of(COUNTS), "4 collections, 117 records, 0 with differences, 0 failed"]


def test_a_damaged_collection_is_listed(
    copy_of: Callable[[str], ChromaCopy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chroma = copy_of("1.5.9")
    shutil.rmtree(damage.folder_of(chroma.path, "plain"))
    with pytest.raises(SystemExit) as exited:
        main(["import", "--from-chroma", str(chroma.path), "--path", str(tmp_path / "data")])
    assert exited.value.code == 1
    output = capsys.readouterr().out.splitlines()
    others = {name: count for name, count in COUNTS.items() if name != "plain"}
    assert set(lines_of(others)) <= set(output)
    assert any(line.startswith("default_tenant/default_database/plain: failed: ") for line in output)
    assert output[-3:] == [
        "4 collections, 52 records, 0 with differences, 1 failed",
        "  failed: default_tenant/default_database/plain",
        f"what Chroma cannot read: afterglow rescue {chroma.path}",
    ]
