"""Messages of the queue: what they may look like, and work in the time that there is."""

from collections.abc import Iterator
from uuid import UUID

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.model import Scope, Selection
from afterglow.collection.replica import Replica
from afterglow.errors import InvalidArgument
from afterglow.jobs.messages import QUIET, collection_of, work_on
from afterglow.log.batch import Batch, Op
from afterglow.storage.stores import Stores
from tests.support.stores import Nudges, new_collection, quick_folder, stores_at

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


def message(collection: UUID, reason: str = "1") -> str:
    return f'{{"group": "{collection}", "body": "{reason}"}}'


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '"x"', "{}", '{"group": 1, "body": ""}', '{"group": "x", "body": ""}']
)
def test_what_is_no_message_is_refused(stores: Stores, body: str) -> None:
    with pytest.raises(InvalidArgument, match="not a message of this queue"):
        work_on(stores, body)


def test_a_message_is_read() -> None:
    assert collection_of(message(UUID(int=7), "quiet 12")) == (UUID(int=7), "quiet 12")


def test_the_collection_is_indexed_and_a_message_that_comes_twice_changes_nothing(stores: Stores) -> None:
    scope = written(stores)
    report = work_on(stores, message(scope.collection, f"{QUIET} 1"))
    assert (report.folded_ops, report.unfolded_ops, report.is_unfinished) == (len(NAMES), 0, False)
    first = Replica(stores, scope.collection).view().manifest
    again = work_on(stores, message(scope.collection, f"{QUIET} 1"))
    assert (again.folded_ops, again.merges) == (0, 0)
    assert Replica(stores, scope.collection).view().manifest == first
    assert Engine(stores).get(scope, Selection(), None, 0, frozenset()).ids == NAMES


def test_a_collection_that_is_gone_is_done(stores: Stores) -> None:
    assert work_on(stores, message(UUID(int=9))).folded_ops == 0


def test_short_time_ends_a_run_between_two_steps_and_a_message_of_its_own_goes_on(stores: Stores) -> None:
    scope = written(stores)
    queue = stores.queue
    assert isinstance(queue, Nudges)
    steps = 0
    body = message(scope.collection, f"{QUIET} 1")
    for run in range(100):
        queue.sent.clear()
        allowed = iter([True])  # one step a run
        report = work_on(stores, body, may_take=lambda _, allowed=allowed: next(allowed, False))  # type: ignore[misc]
        assert Engine(stores).get(scope, Selection(), None, 0, frozenset()).ids == NAMES
        if not report.is_unfinished:
            assert not queue.sent
            break
        steps = run + 1
        ((group, reason),) = queue.sent
        assert group == str(scope.collection)
        assert reason.startswith(QUIET)
        body = message(UUID(group), reason)
    assert steps > 2
    view = Replica(stores, scope.collection).view()
    assert view.manifest.folded == view.applied
    assert [each.has_graph for each in view.manifest.segments] == [True]


def test_no_step_begins_without_time(stores: Stores) -> None:
    scope = written(stores)
    report = work_on(stores, message(scope.collection), may_take=lambda _: False)
    assert report.is_unfinished
    assert Replica(stores, scope.collection).view().manifest.number == 0
