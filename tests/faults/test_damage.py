"""Damaged data files: the collection that they belong to names the file, the others serve on, nothing crashes.

One directory holds a folded collection for every way to damage every kind of file, and sound ones beside them. A file
may turn out not to be needed for an answer; then the answer must be right.
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

ROWS = 200
EVERYTHING = ["embeddings", "documents", "metadatas"]
FOLDED_SOON = {
    "AFTERGLOW_FLUSH_IDLE_SECONDS": "0.1",
    "AFTERGLOW_HNSW_MIN_ROWS": "64",
    "AFTERGLOW_GC_GRACE_SECONDS": "1",
}
NEVER_FOLDED_AGAIN = {**FOLDED_SOON, "AFTERGLOW_FLUSH_IDLE_SECONDS": "3600"}


def _flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[min(int(len(content) * place), len(content) - 1)] ^= 0x10
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
"""Kinds of files that a folded collection with dead rows consists of, with those of its history."""


@dataclass(frozen=True)
class Case:
    """One file of one collection, and what is done to it."""

    damage: str
    collection: str
    path: Path


@dataclass(frozen=True)
class Folded:
    """A stopped server's directory: collections by name, and the answers that all of them gave when all was well."""

    folder: Path
    collections: dict[str, str]
    answers: dict[str, Any]


def _fill(wire: Wire, name: str) -> str:
    collection = wire.create(name)
    body = {
        "ids": [f"id{each}" for each in range(ROWS)],
        "embeddings": [[each / 8, (each * 7 % 50) / 8, 1.0] for each in range(ROWS)],
        "documents": [f"document number {each}" for each in range(ROWS)],
        "metadatas": [
            {
                "number": each,
                "parity": "odd" if each % 2 else "even",
                "tags": ["x"],
                "terms": {"#type": "sparse_vector", "indices": [each % 5, 7], "values": [0.5, 1.5]},
            }
            for each in range(ROWS)
        ],
    }
    wire.write(collection, "add", body)
    return collection


def _wait_until_folded(wire: Wire, collections: list[str]) -> None:
    for _ in range(600):
        if not any(wire.unindexed(each) for each in collections):
            return
        time.sleep(0.1)
    raise AssertionError("the collections were not folded within a minute")


QUESTIONS: dict[str, Callable[[Wire, str], Any]] = {
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
"""Between them they need every file."""


def _ask(wire: Wire, collection: str) -> dict[str, Any]:
    return {question: ask(wire, collection) for question, ask in QUESTIONS.items()}


def _make(folder: Path, damages: int) -> Folded:
    names = [f"damaged-{number}" for number in range(KINDS * damages)] + ["sound-1", "sound-2"]
    with running(folder, env=FOLDED_SOON) as server, server.client() as client:
        wire = Wire(client)
        collections = {name: _fill(wire, name) for name in names}
        _wait_until_folded(wire, list(collections.values()))
        # Rows that died after the fold have a file of their own.
        for collection in collections.values():
            wire.delete(collection, {"ids": ["id3", "id5"]})
        _wait_until_folded(wire, list(collections.values()))
        answers = _ask(wire, collections["sound-1"])
        assert answers["count"] == ROWS - 2
        # Until what no manifest names any more is collected.
        time.sleep(2.5)
    return Folded(folder, collections, answers)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Folded:
    """The directory for a few damages, made once; tests work on copies."""
    return _make(tmp_path_factory.mktemp("damage") / "data", len(FEW))


@pytest.fixture(scope="module")
def large_template(tmp_path_factory: pytest.TempPathFactory) -> Folded:
    """The directory for all damages."""
    return _make(tmp_path_factory.mktemp("damage") / "data", len(ALL))


def _copy(folded: Folded, folder: Path) -> Folded:
    shutil.copytree(folded.folder, folder)
    return Folded(folder, folded.collections, folded.answers)


@pytest.fixture
def copy(template: Folded, tmp_path: Path) -> Folded:
    """A copy that may be damaged."""
    return _copy(template, tmp_path / "data")


def _files(folder: Path, collection: str) -> list[Path]:
    """A collection's data files; the same place in the list is the same kind of file in each of equal collections."""
    files = [each for each in folder.rglob("*") if each.is_file() and collection in str(each)]
    return sorted(files, key=lambda path: (path.parent.parent.name, path.suffix, path.name.split("-")[0], path.name))


def _cases(folded: Folded, damages: Sequence[str]) -> list[Case]:
    """Each damage of each file, in a collection of its own."""
    found = [
        (damage, kind, folded.collections[f"damaged-{kind * len(damages) + place}"])
        for kind in range(KINDS)
        for place, damage in enumerate(damages)
    ]
    files = {collection: _files(folded.folder, collection) for _, _, collection in found}
    assert {len(each) for each in files.values()} == {KINDS}, "the collections do not have the files they should have"
    return [Case(damage, collection, files[collection][kind]) for damage, kind, collection in found]


def _check_damaged(wire: Wire, server: Server, folded: Folded, case: Case) -> str:
    """Empty when the damage was reported, or did not matter; else what was wrong."""
    path = case.path
    where = f"{path.relative_to(folded.folder)} {case.damage}"
    for question, expected in folded.answers.items():
        try:
            answer = QUESTIONS[question](wire, case.collection)
        except Refused as refusal:
            if refusal.status < 500:
                return f"{where}: {question} was refused with {refusal}"
            if path.relative_to(folded.folder / "objects").as_posix() not in refusal.text:
                return f"{where}: {question} does not name the file: {refusal}"
            continue
        if answer != expected:
            return f"{where}: {question} gave a wrong answer"
    return "" if server.alive() else f"{where}: the server is dead"


def _sound(wire: Wire, folded: Folded) -> None:
    for name in ("sound-1", "sound-2"):
        assert _ask(wire, folded.collections[name]) == folded.answers, f"{name} does not serve as before"


def _damaged_while_down(folded: Folded, damages: Sequence[str]) -> None:
    cases = _cases(folded, damages)
    for case in cases:
        DAMAGES[case.damage](case.path)
    with running(folded.folder, env=NEVER_FOLDED_AGAIN) as server, server.client() as client:
        wire = Wire(client)
        wrong = [problem for case in cases if (problem := _check_damaged(wire, server, folded, case))]
        _sound(wire, folded)
    assert not wrong, "\n".join(wrong)


def _damaged_while_running(folded: Folded, damages: Sequence[str]) -> None:
    with running(folded.folder, env=NEVER_FOLDED_AGAIN) as server, server.client() as client:
        wire = Wire(client)
        cases = _cases(folded, damages)
        for case in cases:
            assert _ask(wire, case.collection) == folded.answers
        for case in cases:
            DAMAGES[case.damage](case.path)
        wrong = [problem for case in cases if (problem := _check_damaged(wire, server, folded, case))]
        _sound(wire, folded)
    assert not wrong, "\n".join(wrong)


def test_files_damaged_while_the_server_was_down(copy: Folded) -> None:
    """Damage is met on opening."""
    _damaged_while_down(copy, FEW)


def test_files_damaged_under_a_running_server(copy: Folded) -> None:
    """The files are open and mapped when they are cut, changed or removed."""
    _damaged_while_running(copy, FEW)


@pytest.mark.slow
def test_every_damage_while_the_server_was_down(large_template: Folded, tmp_path: Path) -> None:
    """Also empty files, and bits flipped in several places."""
    _damaged_while_down(_copy(large_template, tmp_path / "data"), ALL)


@pytest.mark.slow
def test_every_damage_under_a_running_server(large_template: Folded, tmp_path: Path) -> None:
    """Also empty files, and bits flipped in several places."""
    _damaged_while_running(_copy(large_template, tmp_path / "data"), ALL)


def test_a_damaged_collection_can_be_deleted(copy: Folded) -> None:
    """What the message advises works, and the name is free again."""
    collection = copy.collections["damaged-0"]
    for path in _files(copy.folder, collection):
        path.write_bytes(b"rubbish")
    with running(copy.folder, env=NEVER_FOLDED_AGAIN) as server, server.client() as client:
        wire = Wire(client)
        with pytest.raises(Refused):
            wire.get(collection)
        wire.call("DELETE", "/collections/damaged-0")
        fresh = _fill(wire, "damaged-0")
        assert wire.count(fresh) == ROWS
        _sound(wire, copy)


@pytest.mark.parametrize("damage", ["cut in half", "bit flipped at the start", "empty"])
def test_a_damaged_table(copy: Folded, damage: str) -> None:
    """Without its table a directory cannot be served: the server says so and names the file, or answers say so."""
    table = copy.folder / "table.sqlite"
    for leftover in copy.folder.glob("table.sqlite-*"):
        leftover.unlink()
    DAMAGES[damage](table)
    problem = _first_answer(copy.folder)
    assert table.name in problem, problem
    assert "Traceback" not in problem, problem


def _first_answer(folder: Path) -> str:
    """What a server on the folder says of its trouble: on ending at once, or in its answer."""
    try:
        with running(folder) as server, server.client() as client:
            answer = client.request("GET", "/api/v2/tenants/default_tenant/databases/default_database/collections")
            assert server.alive()
            return answer.body.decode() if answer.status >= 500 else f"{answer.status}: no trouble at all"
    except ServerFailed as failure:
        return str(failure).partition("\n")[2]
