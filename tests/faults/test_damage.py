"""Damaged data files: reads of the collection fail and name the file, other collections keep working, no crash.

One directory has a flushed collection for every damage to every kind of file, and undamaged ones. If a read does not
need the damaged file, its response must be correct.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server, ServerFailed, running
from tests.support.wire import Refused, Wire

pytestmark = pytest.mark.slow

ROWS = 200
EVERYTHING = ["embeddings", "documents", "metadatas"]
EAGER_FLUSHES = {
    "AFTERGLOW_FLUSH_IDLE_SECONDS": "0.1",
    "AFTERGLOW_HNSW_MIN_ROWS": "64",
    "AFTERGLOW_GC_GRACE_SECONDS": "1",
}
NO_FLUSHES = {**EAGER_FLUSHES, "AFTERGLOW_FLUSH_IDLE_SECONDS": "3600"}


def _flip(path: Path, position: float) -> None:
    content = bytearray(path.read_bytes())
    content[min(int(len(content) * position), len(content) - 1)] ^= 0x10
    path.write_bytes(bytes(content))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "bit flipped in the middle": lambda path: _flip(path, 0.5),
    "gone": lambda path: path.unlink(),
    "cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "bit flipped at the start": lambda path: _flip(path, 0.0),
    "bit flipped early": lambda path: _flip(path, 0.1),
    "bit flipped late": lambda path: _flip(path, 0.8),
    "bit flipped at the end": lambda path: _flip(path, 1.0),
}
FEW = tuple(DAMAGES)[:3]
ALL = tuple(DAMAGES)
KINDS = 9
"""Kinds of files of a flushed collection with deleted rows, log archives included."""


@dataclass(frozen=True)
class Case:
    """One file of one collection, and its damage."""

    damage: str
    collection: str
    path: Path


@dataclass(frozen=True)
class DamageFixture:
    """A stopped server's directory: collections by name, and the responses of an undamaged collection."""

    folder: Path
    collections: dict[str, str]
    responses: dict[str, Any]


def _fill(wire: Wire, name: str) -> str:
    collection = wire.create(name)
    body = {
        "ids": [f"id{row}" for row in range(ROWS)],
        "embeddings": [[row / 8, (row * 7 % 50) / 8, 1.0] for row in range(ROWS)],
        "documents": [f"document number {row}" for row in range(ROWS)],
        "metadatas": [
            {
                "number": row,
                "parity": "odd" if row % 2 else "even",
                "tags": ["x"],
                "terms": {"#type": "sparse_vector", "indices": [row % 5, 7], "values": [0.5, 1.5]},
            }
            for row in range(ROWS)
        ],
    }
    wire.write(collection, "add", body)
    return collection


def _wait_until_flushed(wire: Wire, collections: list[str]) -> None:
    for _ in range(600):
        if not any(wire.unindexed(collection) for collection in collections):
            return
        time.sleep(0.1)
    raise AssertionError("the collections were not flushed within a minute")


READS: dict[str, Callable[[Wire, str], Any]] = {
    "get": lambda wire, collection: wire.get(collection, include=EVERYTHING),
    "query": lambda wire, collection: wire.query(
        collection, [[1.0, 2.0, 1.0]], n_results=10, include=["distances", *EVERYTHING]
    ),
    "filtered": lambda wire, collection: wire.get(
        collection, where={"$and": [{"parity": "odd"}, {"number": {"$lt": 50}}]}
    ),
    "contains": lambda wire, collection: wire.get(collection, where_document={"$contains": "number 7"}),
    "by id": lambda wire, collection: wire.get(collection, ids=["id7", "id8"], include=EVERYTHING),
    "count": lambda wire, collection: wire.count(collection),
}
"""Together they need every file."""


def _read_all(wire: Wire, collection: str) -> dict[str, Any]:
    return {name: read(wire, collection) for name, read in READS.items()}


def _make(folder: Path, damages: int) -> DamageFixture:
    names = [f"damaged-{number}" for number in range(KINDS * damages)] + ["undamaged-1", "undamaged-2"]
    with running(folder, env=EAGER_FLUSHES) as server, server.client() as client:
        wire = Wire(client)
        collections = {name: _fill(wire, name) for name in names}
        _wait_until_flushed(wire, list(collections.values()))
        # Rows deleted after the flush get a deletion vector file.
        for collection in collections.values():
            wire.delete(collection, {"ids": ["id3", "id5"]})
        _wait_until_flushed(wire, list(collections.values()))
        responses = _read_all(wire, collections["undamaged-1"])
        assert responses["count"] == ROWS - 2
        # Wait until unreferenced objects are garbage collected.
        time.sleep(2.5)
    return DamageFixture(folder, collections, responses)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> DamageFixture:
    """The directory for a few damages, made once; tests work on copies."""
    return _make(tmp_path_factory.mktemp("damage") / "data", len(FEW))


@pytest.fixture(scope="module")
def large_template(tmp_path_factory: pytest.TempPathFactory) -> DamageFixture:
    """The directory for all damages."""
    return _make(tmp_path_factory.mktemp("damage") / "data", len(ALL))


def _copy(fixture: DamageFixture, folder: Path) -> DamageFixture:
    shutil.copytree(fixture.folder, folder)
    return DamageFixture(folder, fixture.collections, fixture.responses)


@pytest.fixture
def copy(template: DamageFixture, tmp_path: Path) -> DamageFixture:
    """A copy that may be damaged."""
    return _copy(template, tmp_path / "data")


def _files(folder: Path, collection: str) -> list[Path]:
    """A collection's data files; the same index in the list is the same kind of file in each of equal collections."""
    files = [path for path in folder.rglob("*") if path.is_file() and collection in str(path)]
    return sorted(files, key=lambda path: (path.parent.parent.name, path.suffix, path.name.split("-")[0], path.name))


def _cases(fixture: DamageFixture, damages: Sequence[str]) -> list[Case]:
    """Each damage of each file, in a collection of its own."""
    combinations = [
        (damage, kind, fixture.collections[f"damaged-{kind * len(damages) + index}"])
        for kind in range(KINDS)
        for index, damage in enumerate(damages)
    ]
    files = {collection: _files(fixture.folder, collection) for _, _, collection in combinations}
    assert {len(paths) for paths in files.values()} == {KINDS}, "the collections do not have the files they should have"
    return [Case(damage, collection, files[collection][kind]) for damage, kind, collection in combinations]


def _check_damaged(wire: Wire, server: Server, fixture: DamageFixture, case: Case) -> str:
    """Empty if the damage was reported or did not matter; else the problem."""
    path = case.path
    where = f"{path.relative_to(fixture.folder)} {case.damage}"
    for read, expected in fixture.responses.items():
        try:
            response = READS[read](wire, case.collection)
        except Refused as refusal:
            if refusal.status < 500:
                return f"{where}: {read} was refused with {refusal}"
            if path.relative_to(fixture.folder / "objects").as_posix() not in refusal.text:
                return f"{where}: {read} does not name the file: {refusal}"
            continue
        if response != expected:
            return f"{where}: {read} gave a wrong response"
    return "" if server.alive() else f"{where}: the server has crashed"


def _check_undamaged(wire: Wire, fixture: DamageFixture) -> None:
    for name in ("undamaged-1", "undamaged-2"):
        assert _read_all(wire, fixture.collections[name]) == fixture.responses, f"{name} does not serve as before"


def _damaged_while_down(fixture: DamageFixture, damages: Sequence[str]) -> None:
    cases = _cases(fixture, damages)
    for case in cases:
        DAMAGES[case.damage](case.path)
    with running(fixture.folder, env=NO_FLUSHES) as server, server.client() as client:
        wire = Wire(client)
        problems = [problem for case in cases if (problem := _check_damaged(wire, server, fixture, case))]
        _check_undamaged(wire, fixture)
    assert not problems, "\n".join(problems)


def _damaged_while_running(fixture: DamageFixture, damages: Sequence[str]) -> None:
    with running(fixture.folder, env=NO_FLUSHES) as server, server.client() as client:
        wire = Wire(client)
        cases = _cases(fixture, damages)
        for case in cases:
            assert _read_all(wire, case.collection) == fixture.responses
        for case in cases:
            DAMAGES[case.damage](case.path)
        problems = [problem for case in cases if (problem := _check_damaged(wire, server, fixture, case))]
        _check_undamaged(wire, fixture)
    assert not problems, "\n".join(problems)


def test_files_damaged_while_the_server_was_down(copy: DamageFixture) -> None:
    """The damage is found when the files are opened."""
    _damaged_while_down(copy, FEW)


def test_files_damaged_under_a_running_server(copy: DamageFixture) -> None:
    """The files are open and mapped when they are truncated, changed or removed."""
    _damaged_while_running(copy, FEW)


def test_every_damage_while_the_server_was_down(large_template: DamageFixture, tmp_path: Path) -> None:
    """Also empty files, and bits flipped in several places."""
    _damaged_while_down(_copy(large_template, tmp_path / "data"), ALL)


def test_every_damage_under_a_running_server(large_template: DamageFixture, tmp_path: Path) -> None:
    """Also empty files, and bits flipped in several places."""
    _damaged_while_running(_copy(large_template, tmp_path / "data"), ALL)


def test_a_damaged_collection_can_be_deleted(copy: DamageFixture) -> None:
    """The advice in the message works, and the name is free again."""
    collection = copy.collections["damaged-0"]
    for path in _files(copy.folder, collection):
        path.write_bytes(b"rubbish")
    with running(copy.folder, env=NO_FLUSHES) as server, server.client() as client:
        wire = Wire(client)
        with pytest.raises(Refused):
            wire.get(collection)
        wire.call("DELETE", "/collections/damaged-0")
        fresh = _fill(wire, "damaged-0")
        assert wire.count(fresh) == ROWS
        _check_undamaged(wire, copy)


@pytest.mark.parametrize("damage", ["cut in half", "bit flipped at the start", "empty"])
def test_a_damaged_table(copy: DamageFixture, damage: str) -> None:
    """Without its table a directory cannot be served: the server's output or responses name the file."""
    table = copy.folder / "table.sqlite"
    for leftover in copy.folder.glob("table.sqlite-*"):
        leftover.unlink()
    DAMAGES[damage](table)
    problem = _first_error(copy.folder)
    assert table.name in problem, problem
    assert "Traceback" not in problem, problem


def _first_error(folder: Path) -> str:
    """The error of a server on the folder: its output if it exits at once, else its first response."""
    try:
        with running(folder) as server, server.client() as client:
            response = client.request("GET", "/api/v2/tenants/default_tenant/databases/default_database/collections")
            assert server.alive()
            return response.body.decode() if response.status >= 500 else f"{response.status}: no error"
    except ServerFailed as failure:
        return str(failure).partition("\n")[2]
