"""The function `revision_history`: each write of a record has a revision, whichever runs crashed or raced."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope
from afterglow.collection.write import write_path
from afterglow.collection.write.functions import FunctionRequest
from afterglow.errors import Unavailable
from afterglow.jobs import functions
from afterglow.jobs.revision_history import output as outputs
from afterglow.jobs.revision_history import run as runs
from afterglow.jobs.revision_history.revisions import Tracker
from afterglow.log.batch import Batch, Op
from tests.jobs.test_functions import Environment
from tests.support.stores import WITH_RETENTION, quick_folder, stores_at

TRACKER = ("max_version", "generation_start_pos", "generation_start_source_ver", "position", "original_id")


class History(Environment):
    """An environment that also expects the revisions: one for each write of a record without a version."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.revisions: dict[str, list[tuple[str | None, dict[str, Any] | None]]] = {}

    def attach_history(self, params: Any = None) -> None:
        self.engine.attach_function(self.scope, FunctionRequest("f", "revision_history", "output", params))

    def change(self, batch: Batch) -> None:
        before = dict(self.model.records)
        self.write(batch)
        for name in dict.fromkeys(batch.ids):
            old, new = before.get(name), self.model.records.get(name)
            if new is not None and (old is None or batch.op is not Op.ADD):
                self.revisions.setdefault(name, []).append((new.document, new.metadata or {}))
            elif old is not None and new is None:
                self.revisions.setdefault(name, []).append((None, None))

    def change_at_random(self, chance: random.Random) -> None:
        ids = [chance.choice("abcdef") for _ in range(chance.randint(1, 3))]
        op = chance.choice([*Op])
        if op is Op.DELETE:
            self.change(Batch(op, ids))
            return
        ids = list(dict.fromkeys(ids))
        values = [1, "x", None] if op in (Op.UPDATE, Op.UPSERT) else [1, "x", [1, 2]]
        metadatas = [chance.choice([None, {chance.choice("kl"): chance.choice(values)}]) for _ in ids]
        documents = [chance.choice([None, "one", "two"]) for _ in ids]
        vectors = None if op is Op.UPDATE else np.ones((len(ids), 2), np.float32)
        self.change(Batch(op, ids, vectors=vectors, documents=documents, metadatas=metadatas))

    def found_revisions(self) -> dict[str, list[tuple[str | None, dict[str, Any] | None]]]:
        found: dict[str, list[tuple[str | None, dict[str, Any] | None]]] = {}
        records = self.found()
        for name, (document, metadata) in records.items():
            original, _, version = name.rpartition("::v")
            assert metadata["original_id"] == original
            if version == "0":
                assert (document, tuple(metadata)) == (None, TRACKER)
                last = metadata["max_version"]
                found[original] = [
                    self.without_heads(records[f"{original}::v{number}"], number) for number in range(1, last + 1)
                ]
        assert len(records) == len(found) + sum(map(len, found.values()))
        return found

    @staticmethod
    def without_heads(record: tuple[Any, Any], number: int) -> tuple[str | None, dict[str, Any] | None]:
        document, metadata = record[0], dict(record[1])
        assert metadata.pop("version") == number
        assert metadata.pop("archived_at") > 0
        metadata.pop("original_id")
        return document, None if metadata.pop("is_delete") else metadata


@pytest.fixture(params=[WITH_RETENTION])
def history(request: pytest.FixtureRequest) -> Iterator[History]:
    with quick_folder() as folder:
        stores = stores_at(folder, request.param)
        yield History(Engine(stores))
        stores.table.close()


def test_all_writes_are_revisions(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_WINDOW_RECORDS", 4)
    monkeypatch.setattr(outputs, "_CHANGES", 3)
    chance = random.Random(5)
    for _ in range(5):
        history.change_at_random(chance)
    history.attach_history()
    for _ in range(15):
        history.change_at_random(chance)
        if chance.random() < 0.2:
            history.index()
            assert history.found_revisions() == history.revisions
    history.index()
    assert history.found_revisions() == history.revisions
    assert history.index().outputs == []


def test_a_run_that_was_cut_off_is_completed(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    history.attach_history()
    for number in range(7):
        history.change(Batch(Op.UPSERT, ["a", f"b{number}"], vectors=np.ones((2, 2), np.float32)))
    write, calls = write_path.write, 0

    def cut(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Unavailable("cut")
        return write(*arguments, **options)

    monkeypatch.setattr(outputs, "_CHANGES", 4)
    monkeypatch.setattr(write_path, "write", cut)
    with pytest.raises(Unavailable, match="cut"):
        history.index()
    assert history.function.completion_offset == 0
    assert len(history.found_revisions()["a"]) == 2
    monkeypatch.setattr(write_path, "write", write)
    history.index()
    assert history.found_revisions() == history.revisions


def test_runs_at_the_same_time_write_no_revision_twice(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    history.attach_history()
    history.upsert("a", x=1)
    late = Replica(history.stores, history.scope.collection).snapshot()
    history.upsert("a", x=2)
    write, is_first = write_path.write, True

    def race(*arguments: Any, **options: Any) -> Any:
        nonlocal is_first
        if is_first:
            is_first = False
            history.index()
        return write(*arguments, **options)

    monkeypatch.setattr(write_path, "write", race)
    functions.run_function(history.stores, late)
    assert [metadata for _, metadata in history.found_revisions()["a"]] == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize("history", [replace(WITH_RETENTION, retention_seconds=0)], indirect=True)
def test_changes_that_have_expired_are_compared(history: History) -> None:
    history.upsert("a", x=1)
    history.upsert("b", x=1)
    history.upsert("c", x=1)
    history.index()
    history.attach_history()
    history.upsert("a", x=2)
    history.index()
    expected: dict[str, Any] = {"a": [(None, {"x": 2})], "b": [(None, {"x": 1})], "c": [(None, {"x": 1})]}
    assert history.found_revisions() == expected
    function = history.function
    history.engine.detach_function(history.scope, "f", delete_output=False)
    history.upsert("a", x=3)
    history.write(Batch(Op.DELETE, ["b"]))
    history.index()
    late = Replica(history.stores, history.scope.collection).snapshot()
    scope = Scope(history.scope.tenant, history.scope.database, function.output_id)
    progress = list(runs.run(history.stores, late, function, scope))
    assert progress == [runs.Progress(late.applied_seq, 4)]
    assert list(runs.run(history.stores, late, function, scope)) == [runs.Progress(late.applied_seq, 0)]


def test_versions_of_the_application(history: History) -> None:
    history.attach_history({"version_key": "rev"})
    for version in [1, 2, 2, 4]:
        history.upsert("a", rev=version)
    history.write(Batch(Op.DELETE, ["a"]))
    history.upsert("a", rev=1)
    history.upsert("a", rev=2, version="own", tags=["x"])
    history.index()
    records = history.found()
    revisions = {
        name: (data["source_version"], data["is_delete"])
        for name, (_, data) in records.items()
        if not name.endswith("::v0")
    }
    assert revisions == {
        "a::v1": (1, False),
        "a::v2": (2, False),
        "a::v4": (4, False),
        "a::v5": (4, True),
        "a::v6": (1, False),
        "a::v7": (2, False),
    }
    assert records["a::v7"][1]["tags"] == ["x"]
    assert records["a::v7"][1]["version"] == 7
    tracker = dict(zip(TRACKER, [7, 6, 1, 7, "a"], strict=True))
    assert records["a::v0"] == (None, tracker)


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 6)))
def test_revisions_ascend(versions: list[int | None]) -> None:
    tracker, last = Tracker(), 0
    for version in versions:
        tracker, number = tracker.advance(version)
        if number is not None:
            assert number > last
            last = number
        assert tracker.max_version == last
