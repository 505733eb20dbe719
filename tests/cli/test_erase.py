"""`erase` and `erasures`: a request, its report, and that `verify` checks it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

import numpy as np
import pytest

from afterglow import PersistentClient
from afterglow.collection import Batch, Engine, Op
from afterglow.collection.types import Scope, Selection
from afterglow.collection.write import erasure as requests
from afterglow.errors import Unavailable
from afterglow.storage.ports import Stores
from tests.support.commands import run_command
from tests.support.server import running
from tests.support.stores import new_collection, stores_at
from tests.support.wire import Wire

pytestmark = pytest.mark.slow


def test_records_are_erased_from_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with running(path) as server, server.client() as client:
        wire = Wire(client)
        one = wire.create("one")
        metadatas = [{"user": 17}, {"user": 18}, {"user": 17}]
        wire.write(one, "add", {"ids": ["a", "b", "c"], "embeddings": [[1, 2]] * 3, "metadatas": metadatas})
        refused = run_command("erase", "one", "a", "--path", str(path))
        assert (refused.returncode, "asks for --yes" in refused.stderr) == (2, True)
        for bad in ("{bad", "[1]", "{}", '{"user": {"$near": 1}}'):
            refused = run_command("erase", "one", "--where", bad, "--yes", "--path", str(path))
            assert refused.returncode in (1, 2)
            assert refused.stderr.startswith("afterglow: ")
            assert refused.stderr.count("\n") == 1
        assert run_command("erasures", "--path", str(path)).stdout == "no erasure was requested\n"
        refused = run_command("erasures", "--delete-versions", "--path", str(path))
        assert (refused.returncode, "needs --aws" in refused.stderr) == (2, True)
        done = run_command("erase", "one", "--where", '{"user": 19}', "--yes", "--path", str(path))
        assert (done.returncode, done.stdout) == (0, "no record is selected: nothing is erased\n")
        done = run_command("erase", "one", "--where", '{"user": 17}', "--yes", "--path", str(path))
        assert (done.returncode, done.stderr) == (0, "")
        assert ": 2 ids deleted, erased by " in done.stdout
        assert wire.get(one)["ids"] == ["b"]
    shown = run_command("erasures", "--path", str(path))
    assert f": 2 records of collection {one}, requested " in shown.stdout
    verified = run_command("verify", "--path", str(path))
    assert (verified.returncode, "late" in verified.stdout) == (0, False)
    late = {"AFTERGLOW_ERASE_SECONDS": "0", "AFTERGLOW_FLUSH_IDLE_SECONDS": "1000"}
    done = run_command("erase", "one", "b", "--yes", "--path", str(path), env=late)
    assert done.returncode == 0, done.stderr
    verified = run_command("verify", "--path", str(path))
    assert (verified.returncode, " is late: it is rewriting" in verified.stdout) == (1, True)


@pytest.mark.parametrize("selection", ["ids", "filter"])
def test_many_long_ids_are_erased_by_several_erasures(tmp_path: Path, selection: str) -> None:
    path = tmp_path / "data"
    ids = [f"{number:0500}" for number in range(1_100)]
    with PersistentClient(str(path)) as client:
        books = client.create_collection("books", embedding_function=None)
        books.add(
            ids=[*ids, "other"], embeddings=np.ones((1_101, 2), np.float32), metadatas=[*[{"n": 1}] * 1_100, {"n": 2}]
        )
        selected = ids if selection == "ids" else ("--where", '{"n": 1}')
        done = run_command("erase", "books", *selected, "--yes", "--path", str(path))
        assert (done.returncode, done.stderr) == (0, "")
        assert sum(int(line.split()[2]) for line in done.stdout.splitlines()) == 1_100
        assert books.get()["ids"] == ["other"]


def test_an_interrupted_erasure_by_a_filter_continues_in_the_forks(tmp_path: Path) -> None:
    stores = stores_at(tmp_path)
    scope, _ = new_collection(stores, "books")
    engine = Engine(stores)
    metadatas = [{"n": 1}, {"n": 2}]
    engine.write(scope, Batch(Op.ADD, ["a", "b"], np.ones((2, 2), np.float32), metadatas=metadatas))
    fork = engine.fork(scope, "fork")
    erase = ("erase", "books", "--where", '{"n": 1}', "--yes", "--path", str(tmp_path))
    with patch.object(requests, "delete_in", _first_only(requests.delete_in)):
        assert run_command(*erase).returncode == 1
    assert _ids(stores, scope) == ["b"]
    assert _ids(stores, replace(scope, collection=fork.id)) == ["a", "b"]
    done = run_command(*erase)
    assert (done.returncode, " was interrupted and continues\n" in done.stdout) == (0, True)
    assert _ids(stores, replace(scope, collection=fork.id)) == ["b"]
    assert "continues" not in run_command(*erase).stdout


def _first_only(
    delete_in: Callable[[Stores, UUID, Sequence[str]], int],
) -> Callable[[Stores, UUID, Sequence[str]], int]:
    """Deletes in one collection; then the table is gone."""
    done: list[UUID] = []

    def delete(stores: Stores, collection: UUID, ids: Sequence[str]) -> int:
        if done:
            raise Unavailable("on purpose")
        done.append(collection)
        return delete_in(stores, collection, ids)

    return delete


def _ids(stores: Stores, scope: Scope) -> list[str]:
    return Engine(stores).get(scope, Selection(), None, 0, frozenset()).ids
