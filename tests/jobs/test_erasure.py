"""Erasure: no byte of an erased record is left in any file, of forks and the past too, whatever crashes on the way."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from afterglow.catalog import erasures
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Include, Restriction, Selection
from afterglow.collection.write.functions import FunctionRequest
from afterglow.errors import Forbidden, InvalidArgument, LimitExceeded
from afterglow.filters.parse import parse_where
from afterglow.jobs import erasure
from afterglow.jobs.indexer import compact_all_segments, flush_log, index
from afterglow.log.batch import Batch, Op
from afterglow.records.ids import MAX_ID_BYTES
from afterglow.storage.ports import Stores
from tests.jobs.environment import Environment
from tests.support.faulty import Crash, Fault, Faults
from tests.support.stores import WITH_RETENTION, Clock, new_collection, quick_folder, stores_at, with_faults

SECRET_ID = "the-id-of-a-person"
SECRET_DOCUMENT = "a sentence about a person"
SECRET_VALUE = "a street of a person"
SECRET_VECTOR = np.array([[0.123456, 7.654321, 3.141592]], dtype=np.float32)
TRACES = (SECRET_ID.encode(), SECRET_DOCUMENT.encode(), SECRET_VALUE.encode(), SECRET_VECTOR.tobytes())


class Erasing(Environment):
    """A collection in a folder whose bytes are searched."""

    folder: Path

    def write_secret(self, name: str = SECRET_ID, *, large: bool = False) -> None:
        others = [f"{name[:3]}-{row}" for row in range(40 if large else 2)]
        vectors = np.concatenate([SECRET_VECTOR, np.ones((len(others), 3), np.float32)])
        documents = [SECRET_DOCUMENT, *("other" for _ in others)]
        metadatas = [{"street": SECRET_VALUE}, *({"street": "other"} for _ in others)]
        batch = Batch(Op.UPSERT, [name, *others], vectors, documents=documents, metadatas=metadatas)
        Engine(self.stores).write(self.scope, batch)

    def fill(self) -> None:
        """The record in the past, in several segments, in a large batch and in the log."""
        self.write_secret(large=True)
        self.flush()
        self.write_secret()
        self.write("a", "b")
        self.flush()
        self.write_secret()

    def traces(self) -> dict[str, list[bytes]]:
        """The files that have a trace of the record, and which."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                has = [trace for trace in TRACES if trace in content]
                if has:
                    found[str(path.relative_to(self.folder))] = has
        return found

    def everyone(self) -> list[UUID]:
        catalog = Engine(self.stores).catalog
        return list(catalog.collections())

    def run(self, stores: Stores | None = None) -> None:
        """What the background does, over some grace times."""
        stores = stores or self.stores
        for _ in range(4):
            erasure.advance(stores)
            for member in self.everyone():
                index(stores, Replica.for_indexer(stores, member), member, idle=True)
            self.wait_for_grace()
        erasure.advance(stores)


@pytest.fixture
def erasing() -> Iterator[Erasing]:
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, replace(WITH_RETENTION, retention_seconds=1e6, erase_seconds=3_600.0), clock)
        with closing(stores.table):
            scope, collection = new_collection(stores)
            env = Erasing(stores, clock, scope, collection.id)
            env.folder = folder
            yield env


def only(env: Environment) -> erasures.Erasure:
    (found,) = erasures.list_all(env.stores.table)
    return found


def test_no_byte_is_left_in_any_file(erasing: Erasing) -> None:
    erasing.fill()
    first = erasing.traces()
    assert any(name.startswith("table.sqlite") for name in first)
    assert sum("/segments/" in name for name in first) >= 2
    assert any("/archive/" in name for name in first)
    assert any(name.endswith(".batch") for name in first)
    count, started = Engine(erasing.stores).erase(erasing.scope, Selection([SECRET_ID]))
    assert started is not None
    assert (count.count, started.state) == (1, "rewriting")
    assert SECRET_ID not in erasing.ids()
    erasing.run()
    assert erasing.traces() == {}
    found = only(erasing)
    assert (found.state, found.ids, found.records) == ("finished", (), 1)
    assert found.objects is not None
    assert {f"objects/{key}" for key in found.objects} >= {name for name in first if name.startswith("objects/")}
    assert list(erasure.problems(erasing.stores)) == []
    assert {"a", "b", "the-0", "the-39"} <= set(erasing.ids())


def test_points_in_time_from_before_are_gone_at_once(erasing: Erasing) -> None:
    erasing.fill()
    engine, at = Engine(erasing.stores), PointInTime(position=2)
    assert SECRET_ID in engine.get(erasing.scope, Selection(), None, 0, frozenset(), at=at).ids
    engine.erase(erasing.scope, Selection(where=parse_where({"street": SECRET_VALUE})))
    for reader in (engine, Engine(erasing.stores)):
        with pytest.raises(InvalidArgument, match="outside the retention window"):
            reader.get(erasing.scope, Selection(), None, 0, frozenset(), at=at)
        with pytest.raises(InvalidArgument, match="outside the retention window"):
            reader.fork(erasing.scope, "past", at=at)
    erasing.run()
    assert erasing.traces() == {}


def test_forks_and_dropped_collections_are_erased_too(erasing: Erasing) -> None:
    erasing.fill()
    engine = Engine(erasing.stores)
    unwritten = engine.fork(erasing.scope, "unwritten")
    written = engine.fork(erasing.scope, "written", at=PointInTime(position=1))
    engine.write(replace(erasing.scope, collection=written.id), Batch(Op.UPSERT, ["own"], SECRET_VECTOR + 1))
    engine.fork(erasing.scope, "dropped")
    engine.delete_collection(erasing.scope.tenant, erasing.scope.database, "dropped")
    fork = replace(erasing.scope, collection=unwritten.id)
    engine.erase(fork, Selection([SECRET_ID]))
    for member in (erasing.id, unwritten.id, written.id):
        scope = replace(erasing.scope, collection=member)
        assert SECRET_ID not in Engine(erasing.stores).get(scope, Selection(), None, 0, frozenset()).ids
    erasing.run()
    assert erasing.traces() == {}
    assert only(erasing).state == "finished"
    assert "own" in engine.get(replace(fork, collection=written.id), Selection(), None, 0, frozenset()).ids


@pytest.mark.parametrize("function", ["revision_history", "statistics"])
@pytest.mark.parametrize("is_late", [False, True])
def test_outputs_of_functions_are_erased_too(erasing: Erasing, function: str, is_late: bool) -> None:
    engine = Engine(erasing.stores)
    engine.attach_function(erasing.scope, FunctionRequest("f", function, "output", {"version_key": "v"}))
    erasing.fill()
    if not is_late:  # else the function sees the record and its deletion at once
        for member in erasing.everyone():
            index(erasing.stores, Replica.for_indexer(erasing.stores, member), member, idle=True)
        output = engine.get_collection(erasing.scope.tenant, erasing.scope.database, "output")
        assert any(name.startswith(f"objects/{output.id}") for name in erasing.traces())
    engine.erase(erasing.scope, Selection([SECRET_ID]))
    erasing.clock.sleep(2)
    again = Batch(Op.UPSERT, ["b"], np.ones((1, 3), np.float32), metadatas=[{"street": "other"}])
    engine.write(erasing.scope, again)
    for _ in range(3):
        erasing.run()
    assert erasing.traces() == {}
    assert only(erasing).state == "finished"
    output = engine.get_collection(erasing.scope.tenant, erasing.scope.database, "output")
    ids = (
        Engine(erasing.stores).get(replace(erasing.scope, collection=output.id), Selection(), None, 0, frozenset()).ids
    )
    assert "b::v1" in ids or function == "statistics"
    assert ids


def test_the_deletion_of_many_revisions_stores_no_object(erasing: Erasing) -> None:
    engine = Engine(erasing.stores)
    engine.attach_function(erasing.scope, FunctionRequest("f", "revision_history", "output", None))
    for _ in range(30):
        erasing.write_secret()
    index(erasing.stores, Replica.for_indexer(erasing.stores, erasing.id), erasing.id, idle=True)
    engine.erase(erasing.scope, Selection([SECRET_ID]))
    index(erasing.stores, Replica.for_indexer(erasing.stores, erasing.id), erasing.id, idle=True)
    output = engine.get_collection(erasing.scope.tenant, erasing.scope.database, "output")
    before = {info.key for info in erasing.stores.objects.list(str(output.id))}
    stores = replace(erasing.stores, settings=replace(erasing.stores.settings, log_inline_max_bytes=400))
    erasure.advance(stores)
    assert {info.key for info in erasing.stores.objects.list(str(output.id))} == before
    found = Engine(erasing.stores).get(replace(erasing.scope, collection=output.id), Selection(), None, 0, frozenset())
    assert not [name for name in found.ids if name.startswith(SECRET_ID)]


def test_an_erasure_that_the_maintenance_begins_stores_no_object(erasing: Erasing) -> None:
    """Its role in an account may not: the caller has put the item, and crashed."""
    ids = [f"record-{number}" for number in range(300)] + ["\x01" * 20 + f"{number}" for number in range(9)]
    for start in range(0, len(ids), 30):
        erasing.write(*ids[start : start + 30])
    erasing.flush()
    faulty = with_faults(
        erasing.stores, Faults(lambda _, call: Fault.CRASH_AFTER if call.startswith("table.put") else None)
    )
    with pytest.raises(Crash):
        Engine(faulty).erase(erasing.scope, Selection(ids))
    assert len(erasing.ids()) == len(ids)
    stored = erasing.objects()
    erasure.advance(erasing.stores)
    assert erasing.ids() == []
    assert erasing.objects() == stored
    erasing.run()
    assert only(erasing).state == "finished"


def test_revisions_of_a_record_written_again_stay(erasing: Erasing) -> None:
    engine = Engine(erasing.stores)
    engine.attach_function(erasing.scope, FunctionRequest("f", "revision_history", "output", None))
    erasing.fill()
    engine.erase(erasing.scope, Selection([SECRET_ID]))
    erasing.clock.sleep(2)
    engine.write(erasing.scope, Batch(Op.UPSERT, [SECRET_ID], np.ones((1, 3), np.float32), documents=["new"]))
    for _ in range(3):
        erasing.run()
    assert only(erasing).state == "finished"
    assert {trace for found in erasing.traces().values() for trace in found} == {SECRET_ID.encode()}
    output = engine.get_collection(erasing.scope.tenant, erasing.scope.database, "output")
    records = engine.get(
        replace(erasing.scope, collection=output.id),
        Selection(where=parse_where({"original_id": SECRET_ID})),
        None,
        0,
        frozenset({Include.DOCUMENTS}),
    )
    assert sorted(filter(None, records.documents or [])) == ["new"]


def test_a_record_written_again_stays(erasing: Erasing) -> None:
    erasing.fill()
    Engine(erasing.stores).erase(erasing.scope, Selection([SECRET_ID]))
    vector = np.full((1, 3), 9, np.float32)
    Engine(erasing.stores).write(erasing.scope, Batch(Op.UPSERT, [SECRET_ID], vector))
    erasing.run()
    assert SECRET_ID in erasing.ids()
    assert {trace for found in erasing.traces().values() for trace in found} == {SECRET_ID.encode()}
    assert only(erasing).state == "finished"


def test_a_collection_that_is_always_written_finishes(erasing: Erasing) -> None:
    """Segments that lose rows to later writes need no further rewrite."""
    erasing.fill()
    Engine(erasing.stores).erase(erasing.scope, Selection([SECRET_ID]))
    for number in range(6):
        erasing.write("a", f"new-{number}")
        flush_log(erasing.stores, erasing.replica(), erasing.id, up_to=None, collects=False)
        erasing.write("a", "b")
        flush_log(erasing.stores, erasing.replica(), erasing.id, up_to=None, collects=False)
        compact_all_segments(erasing.stores, erasing.id, idle=False)
        erasing.wait_for_grace()
        erasure.advance(erasing.stores)
    assert only(erasing).state == "finished"
    assert erasing.traces() == {}


def test_problems_are_late_erasures_and_objects_that_are_back(erasing: Erasing) -> None:
    erasing.fill()
    Engine(erasing.stores).erase(erasing.scope, Selection([SECRET_ID]))
    assert list(erasure.problems(erasing.stores)) == []
    erasing.clock.skipped += 3_601
    assert "is late: it is rewriting" in next(erasure.problems(erasing.stores))
    erasing.run()
    assert list(erasure.problems(erasing.stores)) == []
    objects = only(erasing).objects
    assert objects
    erasing.stores.objects.put(objects[0], b"again")
    assert f"object {objects[0]} is stored" in next(erasure.problems(erasing.stores))


def test_every_id_that_can_be_written_can_be_erased(erasing: Erasing) -> None:
    engine, longest = Engine(erasing.stores), "x" * MAX_ID_BYTES
    for op in (Op.ADD, Op.UPSERT, Op.UPDATE):
        with pytest.raises(
            InvalidArgument, match=f"an id has at most {MAX_ID_BYTES} bytes, 'xxxxxxxxxxxxxxxxxxxx'… has"
        ):
            engine.write(erasing.scope, Batch(op, [longest + "x"], np.ones((1, 3), np.float32)))
    engine.write(erasing.scope, Batch(Op.ADD, [longest], np.ones((1, 3), np.float32)))
    engine.erase(erasing.scope, Selection([longest]))
    assert engine.get(erasing.scope, Selection([longest]), None, 0, frozenset()).ids == []


def test_refusals(erasing: Erasing) -> None:
    engine = Engine(erasing.stores)
    with pytest.raises(LimitExceeded, match="erase fewer at once"):
        engine.erase(erasing.scope, Selection([f"{number:0100}" for number in range(2_001)]))
    with pytest.raises(Forbidden, match="a key with filters cannot erase"):
        engine.erase(replace(erasing.scope, restriction=Restriction({})), Selection(["a"]))
    assert erasures.list_all(erasing.stores.table) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(3))
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_crash_at_any_write_leaves_it_resumable(fault: Fault, first: int) -> None:
    _crash_at_writes(fault, first, 3)


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 8])
def test_a_crash_leaves_the_erasure_of_an_output_resumable(first: int) -> None:
    _crash_at_writes(Fault.CRASH_AFTER, first, 17, "revision_history")


def _crash_at_writes(fault: Fault, first: int, step: int, function: str | None = None) -> None:
    number = first
    while True:
        with quick_folder() as folder:
            clock = Clock()
            stores = stores_at(folder, replace(WITH_RETENTION, retention_seconds=1e6), clock)
            scope, collection = new_collection(stores)
            env = Erasing(stores, clock, scope, collection.id)
            env.folder = folder
            if function is not None:
                Engine(stores).attach_function(scope, FunctionRequest("f", function, "output", None))
            env.fill()
            Engine(stores).fork(scope, "fork")
            chosen = Faults(nth_write(number, fault))
            faulty = with_faults(stores, chosen)
            crashed = False
            try:
                Engine(faulty).erase(scope, Selection([SECRET_ID]))
                env.run(faulty)
            except Crash:
                crashed = True
            env.run()
            if function is not None:
                env.run()
            if erasures.list_all(stores.table):
                assert only(env).state == "finished", chosen.calls[-1]
                assert env.traces() == {}, chosen.calls[-1]
            else:
                assert number == 0
            stores.table.close()
        if not crashed:
            break
        number += step
    assert number > 20


def nth_write(number: int, fault: Fault) -> Callable[[int, str], Fault | None]:
    """A fault at the write of this number, counted from 0."""
    reads = ("table.get", "table.query", "objects.get", "objects.prefetch", "objects.list", "objects.local_path")
    writes = count()

    def choose(_: int, name: str) -> Fault | None:
        return None if name.startswith(reads) or next(writes) != number else fault

    return choose
