"""What the processes do, one operation at a time, and what each of them must get back.

A client checks its own responses against the observer: an acknowledged write is in the log at the position that was
acknowledged; a read equals the collection at the position that it names, which is not before any write acknowledged
when the read began. `Unavailable` and `Busy` mean that the outcome is unknown; any other error is a violation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import numpy as np
import orjson

from afterglow.catalog import Database
from afterglow.collection.replica.replica import Replica
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Scope, Selection
from afterglow.errors import AlreadyExists, Busy, InvalidArgument, NotFound, Unavailable
from afterglow.filters.parse import parse_where
from afterglow.jobs import gc, index_messages, maintenance, purge, restore
from afterglow.jobs.indexer import compact_all_segments, flush_log, index
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import ConditionFailed, ObjectNotFound, Put
from tests.simulation.observer import CollectionLog, Observer, Violation, is_expired
from tests.simulation.processes import DAY, Environment, Incarnation, Process
from tests.support.faulty import Crash
from tests.support.model import EVERYTHING, Record, as_pairs, canonical

TENANT, DATABASE = "default_tenant", "default_database"
TTL_KEY = "expires"
IMPORTS = "IMPORTS"
_IDS = 14
_MAX_COLLECTIONS = 5
_LARGE = 500
"""Characters of a document that makes its batch too large for the table."""


@dataclass
class Cast:
    """The processes, what their clients know, and what they have done."""

    environment: Environment
    observer: Observer
    processes: list[Process]
    scopes: list[Scope] = field(default_factory=list)
    dropped: set[UUID] = field(default_factory=set)
    acknowledged: dict[UUID, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    created: int = 0

    def log(self, scope: Scope) -> CollectionLog:
        """The log of a collection as the observer has it."""
        return self.observer.logs[scope.collection]


Operation = Callable[[Cast, Incarnation], None]


def perform(cast: Cast, process: Process, operation: Operation) -> None:
    """Run one operation in the process, whose incarnation may die of it."""
    incarnation = process.incarnation()
    name = operation.__name__
    try:
        operation(cast, incarnation)
    except (Busy, Unavailable):
        name = f"{name}: unknown"
    except Crash:
        name = f"{name}: died"
    cast.counts[name] = cast.counts.get(name, 0) + 1


# clients


def write(cast: Cast, incarnation: Incarnation) -> None:
    """Add, update, upsert or delete some records."""
    scope = _any_collection(cast)
    batch = _draw_batch(cast, cast.log(scope).ttl_key)
    was_dropped = scope.collection in cast.dropped
    try:
        if batch.op is Op.DELETE:
            seq = incarnation.engine.delete(scope, Selection(batch.ids)).position
        else:
            seq = incarnation.engine.write(scope, batch)
    except NotFound:
        _check_gone(cast, scope)
        return
    if was_dropped:
        raise Violation(f"a write to {cast.log(scope).name} is acknowledged after its drop")
    _check_acknowledged(cast, scope, batch, seq)


def delete_matching(cast: Cast, incarnation: Incarnation) -> None:
    """Delete by filter: exactly the records that match at the position before."""
    scope = _any_collection(cast)
    log, acknowledged, k = (
        cast.log(scope),
        cast.acknowledged.get(scope.collection, 0),
        cast.environment.random.randrange(3),
    )
    try:
        result = incarnation.engine.delete(scope, Selection(where=parse_where({"k": k})))
    except NotFound:
        _check_gone(cast, scope)
        return
    position = result.position
    assert position is not None
    if position < acknowledged:
        raise Violation(f"a delete of {log.name} is evaluated at {position}, entry {acknowledged} was acknowledged")
    before = log.at(position - 1 if result.count else position)
    matching = before.where(lambda record: (record.metadata or {}).get("k") == k)
    if log.ttl_key is None and len(matching) != result.count:
        raise Violation(f"{result.count} of {len(matching)} records of {log.name} are deleted at {position}")
    if result.count:
        _check_acknowledged(cast, scope, None if log.ttl_key else Batch(Op.DELETE, matching), position)


def read(cast: Cast, incarnation: Incarnation) -> None:
    """Read a whole collection."""
    scope, process = _any_collection(cast), incarnation.process
    log, acknowledged = cast.log(scope), cast.acknowledged.get(scope.collection, 0)
    started, clocks = cast.environment.scheduler.time, len(process.offsets) - 1
    try:
        found = incarnation.engine.get(scope, Selection(), None, 0, EVERYTHING)
    except NotFound:
        _check_gone(cast, scope)
        return
    offsets = process.offsets[clocks:]
    if cast.environment.is_account:  # the table's clock is right, and what must not come early goes by the earlier one
        offsets = [min(offset, 0.0) for offset in offsets]
    if found.position < acknowledged:
        raise Violation(f"a read of {log.name} ends at {found.position}, entry {acknowledged} was acknowledged")
    now = (started + min(offsets), cast.environment.scheduler.time + max(offsets))
    check_contents(log, found.position, as_pairs(found), now)


def read_past(cast: Cast, incarnation: Incarnation) -> None:
    """Read a collection at an earlier position, if it is retained."""
    scope = _any_collection(cast)
    log = cast.log(scope)
    position = cast.environment.random.randint(log.first, log.last)
    try:
        found = incarnation.engine.get(scope, Selection(), None, 0, EVERYTHING, at=PointInTime(position=position))
    except NotFound:
        _check_gone(cast, scope)
    except InvalidArgument:
        pass  # outside the retention window of the clocks that jump
    else:
        time = log.time(position) / 1000
        check_contents(log, position, as_pairs(found), (time, time))


def fork(cast: Cast, incarnation: Incarnation) -> None:
    """Fork a collection, as it is or as it was."""
    environment, source = cast.environment, _any_collection(cast)
    if len(cast.scopes) - len(cast.dropped) >= _MAX_COLLECTIONS:
        return
    log, acknowledged = cast.log(source), cast.acknowledged.get(source.collection, 0)
    is_past = bool(environment.settings.retention_seconds) and environment.random.random() < 0.5
    position = environment.random.randint(log.first, log.last)
    name = _new_name(cast, source, "past" if is_past else "fork")
    try:
        made = incarnation.engine.fork(source, name, PointInTime(position=position) if is_past else None)
    except NotFound:
        _check_gone(cast, source)
        return
    except (InvalidArgument, AlreadyExists):
        return
    if made.fork_position < acknowledged and not is_past:
        raise Violation(f"{name} is forked at {made.fork_position}, entry {acknowledged} was acknowledged")
    if is_past and made.fork_position != position:
        raise Violation(f"{name} is forked at {made.fork_position} instead of {position}")
    cast.scopes.append(Scope(TENANT, DATABASE, made.id))


def drop_and_restore(cast: Cast, incarnation: Incarnation) -> None:
    """Drop a collection, and restore it as it was in the end."""
    living = [scope for scope in cast.scopes if scope.collection not in cast.dropped]
    if len(living) < 2:
        return
    scope = cast.environment.random.choice(living)
    log, acknowledged = cast.log(scope), cast.acknowledged.get(scope.collection, 0)
    state = cast.observer.collection(f"C#{scope.collection}")
    try:
        incarnation.engine.delete_collection(TENANT, DATABASE, log.name)
    except NotFound:
        return
    cast.dropped.add(scope.collection)
    if state is None or not cast.environment.settings.retention_seconds:
        return
    name = _new_name(cast, scope, "back")
    try:
        source = restore.find(incarnation.stores, _database(incarnation), str(scope.collection))
        made = restore.restore(incarnation.stores, source, None, name)
    except (NotFound, InvalidArgument):
        return  # the clock says that its retention is over
    if made.fork_position < acknowledged:
        raise Violation(f"{log.name} is restored at {made.fork_position}, entry {acknowledged} was acknowledged")
    cast.scopes.append(Scope(TENANT, DATABASE, made.id))


def import_chunk(cast: Cast, incarnation: Incarnation) -> None:
    """Import the next chunk of a file into a collection, and advance the progress with it: exactly once."""
    scope, table = _any_collection(cast), incarnation.stores.table
    item = table.get(IMPORTS, str(scope.collection))
    done = 0 if item is None else int(item.value)
    batch = Batch(
        Op.UPSERT,
        [f"imported-{done % 4}"],
        np.full((1, 3), done, dtype=np.float32),
        documents=[f"chunk {done} of {scope.collection}"],
    )
    progress = Put(
        IMPORTS,
        str(scope.collection),
        str(done + 1).encode(),
        if_absent=item is None,
        if_version=None if item is None else item.version,
    )
    was_dropped = scope.collection in cast.dropped
    try:
        seq = incarnation.engine.write(scope, batch, [progress])
    except NotFound:
        _check_gone(cast, scope)
    except ConditionFailed:
        pass  # another importer was first
    else:
        if was_dropped:
            raise Violation(f"an import into {cast.log(scope).name} is acknowledged after its drop")
        _check_acknowledged(cast, scope, batch, seq)


def modify(cast: Cast, incarnation: Incarnation) -> None:
    """Change the metadata of a collection, which changes its state beside the log."""
    scope = _any_collection(cast)
    key = cast.log(scope).ttl_key
    metadata = {"changed": cast.environment.random.randrange(9)} | ({"afterglow:ttl_key": key} if key else {})
    try:
        incarnation.engine.modify_collection(scope, None, metadata)
    except NotFound:
        _check_gone(cast, scope)


# background work


def run_indexer(cast: Cast, incarnation: Incarnation) -> None:
    """Index one collection: in a directory under its lock, in an account by a message of the queue."""
    environment = cast.environment
    environment.jobs += 1
    try:
        if environment.is_account:
            index_messages.handle(incarnation.stores, _draw_message(cast))
        else:
            _index_directory(cast, incarnation)
    except (ObjectNotFound, NotFound):
        pass  # collected or dropped meanwhile; the next run finds the rest
    finally:
        environment.jobs -= 1


def _index_directory(cast: Cast, incarnation: Incarnation) -> None:
    """Flush or compact beside each other, or both alone; then collect garbage if nobody else is at work."""
    environment, stores = cast.environment, incarnation.stores
    collection_id, idle = _any_collection(cast).collection, environment.random.random() < 0.6
    task = environment.random.choice(("flush", "compact", "both"))
    if task == "both":
        with environment.compaction_lock, environment.flush_lock:
            index(stores, Replica.for_indexer(stores, collection_id), collection_id, idle=idle)
        return
    if task == "compact":
        with environment.compaction_lock:
            compact_all_segments(stores, collection_id, idle=idle)
    else:
        with environment.flush_lock:
            replica = Replica.for_indexer(stores, collection_id)
            flush_log(stores, replica, collection_id, up_to=None if idle else 1, collects=False)
    if task == "compact" or not (environment.compaction_lock.locked() or environment.flush_lock.locked()):
        with environment.compaction_lock, environment.flush_lock:
            gc.collect_garbage(stores, collection_id)


def collect(cast: Cast, incarnation: Incarnation) -> None:
    """Collect the garbage of one collection."""
    try:
        if cast.environment.is_account:
            gc.collect_garbage(incarnation.stores, _any_collection(cast).collection)
        else:
            with cast.environment.compaction_lock, cast.environment.flush_lock:
                gc.collect_garbage(incarnation.stores, _any_collection(cast).collection)
    except ObjectNotFound:
        pass  # a newer checkpoint is current


def maintain(cast: Cast, incarnation: Incarnation) -> None:
    """Finish drops, and find what nobody was notified of."""
    purge.purge_dropped(incarnation.stores)
    maintenance.enqueue_stale(incarnation.stores, lambda: True)


def _draw_message(cast: Cast) -> str:
    """A message, out of order and perhaps once more than sent, or that for an idle collection."""
    environment = cast.environment
    if not environment.messages or environment.random.random() < 0.3:
        group, body = str(_any_collection(cast).collection), index_messages.IDLE
    else:
        number = environment.random.randrange(len(environment.messages))
        group, body = (
            environment.messages[number] if environment.random.random() < 0.2 else environment.messages.pop(number)
        )
    return orjson.dumps({"group": group, "body": body}).decode()


# checks


def check_contents(
    log: CollectionLog, position: int, found: Sequence[tuple[str, Record]], now: tuple[float, float]
) -> None:
    """Raise Violation if `found` is not the collection at a position; `now` are the least and the most time of day."""
    names = {name for name, _ in found}
    time = log.time(position) / 1000
    expected = []
    for name, record in log.at(position).records.items():
        if is_expired(record, log.ttl_key, max(time, now[0])):
            continue
        if is_expired(record, log.ttl_key, max(time, now[1])) and name not in names:
            continue
        expected.append((name, record))
    if canonical(expected) != canonical(list(found)):
        raise Violation(
            f"{log.name} at entry {position} is {[name for name, _ in found]}, should be "
            f"{[name for name, _ in expected]}: {canonical(list(found))} instead of {canonical(expected)}"
        )


def _check_acknowledged(cast: Cast, scope: Scope, batch: Batch | None, seq: int | None) -> None:
    log = cast.log(scope)
    assert seq is not None
    if not log.first < seq <= log.last:
        raise Violation(f"entry {seq} of {log.name} is acknowledged, but its log ends at {log.last}")
    logged = log.batch(seq)
    if batch is not None and (logged is None or _plain(logged) != _plain(batch)):
        raise Violation(f"entry {seq} of {log.name} is acknowledged, but another write has that number")
    cast.acknowledged[scope.collection] = max(seq, cast.acknowledged.get(scope.collection, 0))


def _plain(batch: Batch) -> tuple[object, ...]:
    return batch.op, list(batch.ids), list(batch.documents or ())


def _check_gone(cast: Cast, scope: Scope) -> None:
    state = cast.observer.collection(f"C#{scope.collection}")
    if state is not None and not state.is_dropped:
        raise Violation(f"{state.name} is not found")


# choices


def _any_collection(cast: Cast) -> Scope:
    return cast.environment.random.choice(cast.scopes)


def _database(incarnation: Incarnation) -> Database:
    return incarnation.engine.catalog.get_database(TENANT, DATABASE)


def _new_name(cast: Cast, source: Scope, how: str) -> str:
    cast.created += 1
    name = f"{how}-{cast.created}-of-{cast.log(source).name}"
    cast.observer.origins[name] = (source.collection, how)
    return name


def _draw_batch(cast: Cast, ttl_key: str | None) -> Batch:
    random = cast.environment.random
    op = random.choice((Op.ADD, Op.ADD, Op.UPSERT, Op.UPSERT, Op.UPDATE, Op.DELETE))
    ids = [f"r{number}" for number in random.sample(range(_IDS), random.choice((1, 1, 2, 4)))]
    if op is Op.DELETE:
        return Batch(op, ids)
    cast.created += 1
    padding = "x" * (_LARGE if random.random() < 0.3 else 0)
    has_vectors = op is not Op.UPDATE or random.random() < 0.5
    return Batch(
        op,
        ids,
        vectors=np.array([[random.randrange(9) for _ in range(3)] for _ in ids], dtype=np.float32)
        if has_vectors
        else None,
        documents=[f"{op} {cast.created} {name} {padding}" for name in ids],
        metadatas=[_draw_metadata(cast, ttl_key) for _ in ids],
    )


def _draw_metadata(cast: Cast, ttl_key: str | None) -> dict[str, float]:
    random = cast.environment.random
    metadata: dict[str, float] = {random.choice("kmn"): random.randrange(3)}
    if ttl_key is not None and random.random() < 0.5:
        metadata[ttl_key] = round(cast.environment.scheduler.time + random.choice((-9, -1, 1, 1, 3, 9)) * DAY)
    return metadata


OPERATIONS: dict[str, list[Operation]] = {
    "writer": [write, write, write, write, delete_matching, read, import_chunk, modify],
    "reader": [read, read, read_past, fork],
    "indexer": [run_indexer, run_indexer, run_indexer, collect, maintain],
    "maintainer": [collect, maintain, run_indexer, drop_and_restore, fork],
}


def act(cast: Cast, process: Process, role: str, operations: int) -> Callable[[], None]:
    """The body of an actor: some operations of its role."""

    def body() -> None:
        for _ in range(operations):
            perform(cast, process, cast.environment.random.choice(OPERATIONS[role]))

    return partial(body)
