"""Messages of the queue: what they may look like, and work in the time that there is."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope, Selection
from afterglow.errors import InvalidArgument
from afterglow.jobs.index_messages import IDLE, handle
from afterglow.jobs.indexer import IndexReport
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.support.stores import RecordingQueue, new_collection, quick_folder, stores_at

NAMES = [f"{number}" for number in range(40)]


@pytest.fixture
def stores() -> Iterator[Stores]:
    with quick_folder() as folder:
        opened = stores_at(folder)
        yield opened
        opened.table.close()


def written(stores: Stores) -> Scope:
    scope, _ = new_collection(stores)
    engine = Engine(stores)
    for name in NAMES:
        engine.write(scope, Batch(Op.ADD, [name], np.full((1, 3), int(name), dtype=np.float32)))
    return scope


def message(collection: UUID | str, reason: str = "1") -> str:
    return f'{{"group": "{collection}", "body": "{reason}"}}'


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '"x"', "{}", '{"group": 1, "body": ""}', '{"group": "x", "body": ""}']
)
def test_what_is_no_message_is_refused(stores: Stores, body: str) -> None:
    with pytest.raises(InvalidArgument, match="not a message of this queue"):
        handle(stores, body)


def done(stores: Stores, body: str) -> list[IndexReport]:
    """Work on a message, and on those that it leads to."""
    queue = stores.queue
    assert isinstance(queue, RecordingQueue)
    queue.sent.clear()
    reports = [handle(stores, body)]
    while queue.sent:
        group, reason = queue.sent.pop(0)
        reports.append(handle(stores, message(group, reason)))
    return reports


def test_the_collection_is_indexed_and_a_message_that_comes_twice_changes_nothing(stores: Stores) -> None:
    scope = written(stores)
    flushing, *compacting = done(stores, message(scope.collection, f"{IDLE} 1"))
    assert (flushing.flushed_ops, flushing.unflushed_ops, flushing.compactions) == (len(NAMES), 0, 0)
    assert sum(report.compactions for report in compacting) > 0
    first = Replica(stores, scope.collection).snapshot().manifest
    (again,) = done(stores, message(scope.collection, f"{IDLE} 1"))
    assert (again.flushed_ops, again.compactions) == (0, 0)
    assert Replica(stores, scope.collection).snapshot().manifest == first
    assert Engine(stores).get(scope, Selection(), None, 0, frozenset()).ids == NAMES


def test_a_message_flushes_up_to_its_entry_and_a_late_one_does_nothing(stores: Stores) -> None:
    scope = written(stores)
    report = handle(stores, message(scope.collection, "3"))
    assert report.flushed_ops >= 3
    flushed_seq = Replica(stores, scope.collection).snapshot().manifest.flushed_seq
    Engine(stores).write(scope, Batch(Op.ADD, ["new"], np.ones((1, 3), dtype=np.float32)))
    late = handle(stores, message(scope.collection, f"{flushed_seq}"))
    assert late.flushed_ops == 0
    assert 0 < late.unflushed_ops < stores.settings.flush_ops


def test_a_flush_leaves_compactions_to_the_other_group(stores: Stores) -> None:
    scope = written(stores)
    queue = stores.queue
    assert isinstance(queue, RecordingQueue)
    queue.sent.clear()
    report = handle(stores, message(scope.collection, f"{IDLE}"))
    assert (report.compactions, report.needs_compaction) == (0, True)
    ((group, reason),) = queue.sent
    assert group == f"{scope.collection}:compact"
    assert handle(stores, message(group, reason)).compactions > 0


def test_every_message_about_compactions_goes_to_their_queue(stores: Stores) -> None:
    scope = written(stores)
    flushes, compactions = stores.queue, RecordingQueue()
    assert isinstance(flushes, RecordingQueue)
    flushes.sent.clear()
    handle(stores, message(scope.collection, IDLE), compactions=compactions)
    assert flushes.sent == []
    ((group, reason),) = compactions.sent
    compactions.sent.clear()
    report = handle(stores, message(group, reason), lambda _: False, compactions)
    assert report.is_unfinished
    assert (flushes.sent, [sent for sent, _ in compactions.sent]) == ([], [group])


def test_a_collection_that_is_gone_is_done(stores: Stores) -> None:
    assert handle(stores, message(UUID(int=9))).flushed_ops == 0


def test_short_time_ends_a_run_between_two_steps_and_a_message_of_its_own_goes_on(stores: Stores) -> None:
    scope = written(stores)
    queue = stores.queue
    assert isinstance(queue, RecordingQueue)
    queue.sent[:] = [(str(scope.collection), f"{IDLE} 1")]
    runs = 0
    while queue.sent:
        group, reason = queue.sent.pop(0)
        assert group.startswith(str(scope.collection))
        assert reason.startswith(IDLE)
        allowed = iter([True])  # one step a run
        handle(stores, message(group, reason), may_take=lambda _, allowed=allowed: next(allowed, False))  # type: ignore[misc]
        assert Engine(stores).get(scope, Selection(), None, 0, frozenset()).ids == NAMES
        runs += 1
        assert runs < 100
    assert runs > 1
    view = Replica(stores, scope.collection).snapshot()
    assert view.manifest.flushed_seq == view.applied_seq
    assert [segment.has_graph for segment in view.manifest.segments] == [True]


def test_no_step_begins_without_time(stores: Stores) -> None:
    scope = written(stores)
    report = handle(stores, message(scope.collection), may_take=lambda _: False)
    assert report.is_unfinished
    assert Replica(stores, scope.collection).snapshot().manifest.number == 0


def test_a_bulk_load_is_merged_side_by_side(stores: Stores) -> None:
    """Each compaction has its own message, even if another one is done first or a flush adds more meanwhile."""
    bounded = replace(stores, settings=replace(stores.settings, compaction_memory_bytes=1))
    scope, _ = new_collection(bounded)
    engine, queue = Engine(bounded), bounded.queue
    assert isinstance(queue, RecordingQueue)

    def write(first: int, count: int = 25) -> None:
        names = [f"{number}" for number in range(first, first + count)]
        engine.write(scope, Batch(Op.ADD, names, np.ones((count, 3), dtype=np.float32)))
        handle(bounded, message(scope.collection, f"{IDLE}"))

    for first in (0, 25):
        write(first)
    write(50, 10)
    queue.sent.clear()
    assert handle(bounded, message(f"{scope.collection}:compact", IDLE)).compactions == 1  # of the rest
    one, other = list(queue.sent)
    queue.sent.clear()
    write(60, 5)
    assert handle(bounded, message(*other)).compactions == 1
    assert handle(bounded, message(*other)).compactions == 0
    assert handle(bounded, message(*one)).compactions == 1
    while queue.sent:
        handle(bounded, message(*queue.sent.pop(0)))
    view = Replica(bounded, scope.collection).snapshot()
    assert view.manifest.records == 65
    assert all(segment.has_graph == (segment.rows >= 8) and segment.rows <= 32 for segment in view.manifest.segments)
    assert len(Engine(bounded).get(scope, Selection(), None, 0, frozenset()).ids) == 65
