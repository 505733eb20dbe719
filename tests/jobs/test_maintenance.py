"""Maintenance enqueues stale collections, purges dropped ones, collects garbage and finds damage, in turns."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope
from afterglow.jobs import maintenance
from afterglow.jobs.index_messages import IDLE, handle
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.support.stores import Clock, ManualClock, RecordingQueue, new_collection, quick_folder, stores_at


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stores(folder: Path, clock: Clock) -> Iterator[Stores]:
    opened = stores_at(folder, clock=clock)
    yield opened
    opened.table.close()


def written(stores: Stores, name: str, first: int = 0) -> Scope:
    scope = new_collection(stores, name)[0]
    write(stores, scope, first)
    return scope


def write(stores: Stores, scope: Scope, first: int) -> None:
    names = [f"{number}" for number in range(first, first + 9)]
    Engine(stores).write(scope, Batch(Op.ADD, names, np.ones((9, 3), dtype=np.float32)))


def settle(stores: Stores, scope: Scope) -> None:
    """Handle a message for the idle collection and all that follow from it."""
    sent(stores)
    waiting = [(str(scope.collection), IDLE)]
    while waiting:
        group, reason = waiting.pop()
        handle(stores, f'{{"group": "{group}", "body": "{reason}"}}')
        waiting += sent(stores)


def always() -> bool:
    return True


def sent(stores: Stores) -> list[tuple[str, str]]:
    assert isinstance(stores.queue, RecordingQueue)
    found, stores.queue.sent = stores.queue.sent, []
    return found


def test_only_collections_with_unflushed_operations_are_enqueued(stores: Stores) -> None:
    settled, waiting, empty = written(stores, "settled"), written(stores, "waiting"), new_collection(stores, "empty")
    settle(stores, settled)
    sent(stores)
    report = maintenance.enqueue_stale(stores, always)
    assert (report.collections, report.enqueued, report.unflushed_ops) == (3, 1, 9)
    ((group, reason),) = sent(stores)
    assert group == str(waiting.collection)
    assert reason.startswith(IDLE)
    assert empty[1].id != waiting.collection


def test_a_flushed_collection_is_enqueued_until_it_is_caught_up(stores: Stores) -> None:
    scope = written(stores, "one")
    handle(
        stores, f'{{"group": "{scope.collection}", "body": "1"}}'
    )  # flushed under load: no placeholders, nothing compacted
    sent(stores)
    assert maintenance.enqueue_stale(stores, always).enqueued == 1
    settle(stores, scope)
    assert maintenance.enqueue_stale(stores, always).enqueued == 0


def test_who_had_no_turn_is_first_in_the_next_run(stores: Stores) -> None:
    scopes = sorted((written(stores, name) for name in ("one", "two", "three")), key=lambda scope: scope.collection)
    sent(stores)
    seen = []
    for _ in range(4):
        turns = iter([True, True])
        maintenance.enqueue_stale(stores, lambda turns=turns: next(turns, False))  # type: ignore[misc]
        seen += [group for group, _ in sent(stores)]
    order = [str(scope.collection) for scope in scopes]
    assert seen == [*order, *order, *order[:2]]


def test_tidying_removes_what_is_unnamed_and_finishes_drops(stores: Stores, clock: Clock) -> None:
    current, gone = written(stores, "kept"), written(stores, "gone")
    settle(stores, current)
    stores.objects.put(f"{current.collection}/segments/orphan/rows", b"left by a crash")
    Engine(stores).delete_collection(gone.tenant, gone.database, "gone")
    clock.skipped += stores.settings.gc_grace_seconds + 1
    report = maintenance.clean_up(stores, always, 10**9)
    assert (report.collections, report.damaged) == (1, 0)
    assert report.collected > 0
    assert "orphan" not in "".join(info.key for info in stores.objects.list(""))
    assert report.scrubbed_bytes > 0
    assert not list(stores.objects.list(f"{gone.collection}/"))
    assert maintenance.clean_up(stores, always, 10**9).collected == 0


@pytest.mark.parametrize("harm", ["changed", "missing", "manifest"])
def test_damage_is_noticed_and_named(
    stores: Stores, folder: Path, clock: Clock, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    scope = written(stores, "harmed")
    settle(stores, scope)
    clock.skipped += stores.settings.gc_grace_seconds + 1
    assert maintenance.clean_up(stores, always, 10**9).damaged == 0
    part = "manifest" if harm == "manifest" else "vectors"
    objects = folder / "objects"
    (path,) = [path for path in objects.rglob("*") if path.is_file() and part in str(path)]
    if harm == "missing":
        path.unlink()
    else:
        body = bytearray(path.read_bytes())
        body[-1] ^= 1
        path.write_bytes(body)
    assert maintenance.clean_up(stores, always, 10**9).damaged == 1
    key = path.relative_to(objects).as_posix()
    assert any(key in record.getMessage() for record in caplog.records if record.levelname == "ERROR")


def test_scrubbing_stops_at_its_share_and_goes_on_with_the_next(stores: Stores) -> None:
    for name in ("one", "two", "three"):
        settle(stores, written(stores, name))
    whole = maintenance.clean_up(stores, always, 10**9)
    parts = [maintenance.clean_up(stores, always, 1) for _ in range(3)]
    assert [part.collections for part in parts] == [1, 1, 1]
    assert sum(part.scrubbed_bytes for part in parts) == whole.scrubbed_bytes


def test_a_collection_with_expired_records_is_enqueued_until_they_are_deleted(folder: Path) -> None:
    clock = ManualClock()
    stores = stores_at(folder, clock=clock)
    scope = new_collection(stores, metadata={"afterglow:ttl_key": "until"})[0]
    metadatas = [{"until": int(clock.seconds) + 10}, {"until": int(clock.seconds) + 99}]
    Engine(stores).write(scope, Batch(Op.ADD, ["a", "b"], np.ones((2, 3), dtype=np.float32), metadatas=metadatas))
    settle(stores, scope)
    assert maintenance.enqueue_stale(stores, always).enqueued == 0
    clock.seconds += 20
    assert maintenance.enqueue_stale(stores, always).enqueued == 1
    settle(stores, scope)
    assert Replica(stores, scope.collection).snapshot().records == 1
    assert maintenance.enqueue_stale(stores, always).enqueued == 0
    stores.table.close()
