"""`erasures --delete-versions`: which versions it asks the bucket to delete."""

from pathlib import Path
from uuid import UUID

import pytest

from afterglow.catalog import erasures
from afterglow.catalog.erasures import Erasure
from afterglow.cli import options
from afterglow.cli.main import parser
from afterglow.deployment import open as deployments
from tests.support.commands import run_command
from tests.support.stores import stores_at

ONE, FORK = UUID(int=1), UUID(int=2)


def test_an_unknown_erasure_is_an_error(tmp_path: Path) -> None:
    stores_at(tmp_path).table.close()
    done = run_command("erasures", str(UUID(int=7)), "--path", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no erasure has the id '{UUID(int=7)}'" in done.stderr


def test_versions_of_all_members_of_finished_erasures_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = stores_at(tmp_path)
    erasures.create(stores.table, Erasure(UUID(int=7), ONE, 1.0, 9.0, 1, members=(ONE, FORK), finished_at=5.0))
    erasures.create(stores.table, Erasure(UUID(int=8), ONE, 6.0, 9.0, 1, members=(ONE,)))
    calls: list[tuple[str, float]] = []

    def delete(_settings: object, _system: object, prefix: str, until: float) -> int:
        calls.append((prefix, until))
        return 3

    class Opened:
        def __enter__(self) -> object:
            return stores

        def __exit__(self, *_: object) -> None:
            stores.table.close()

    monkeypatch.setattr(options, "open_existing", lambda _: Opened())
    monkeypatch.setattr(deployments, "delete_old_versions", delete)
    args = parser().parse_args(["erasures", "--aws", "--delete-versions"])
    args.command(args)
    assert calls == [(f"{ONE}/", 5.0), (f"{FORK}/", 5.0)]
    assert capsys.readouterr().out.count("6 old versions deleted") == 1
