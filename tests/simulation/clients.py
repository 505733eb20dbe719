"""The operations of clients: writes, reads, forks, drops, imports; each checks what it gets back."""

import numpy as np

from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Scope, Selection
from afterglow.errors import AlreadyExists, InvalidArgument, NotFound
from afterglow.filters.parse import parse_where
from afterglow.jobs import restore
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import ConditionFailed, Put
from tests.simulation.cast import DATABASE, IMPORTS, TENANT, Cast, any_collection, database, draw_batch, new_name
from tests.simulation.checks import check_acknowledged, check_contents, check_gone
from tests.simulation.observer import Violation
from tests.simulation.processes import Incarnation
from tests.support.model import EVERYTHING, as_pairs

_MAX_COLLECTIONS = 5


def write(cast: Cast, incarnation: Incarnation) -> None:
    """Add, update, upsert or delete some records."""
    scope = any_collection(cast)
    batch = draw_batch(cast, cast.log(scope).ttl_key)
    was_dropped = scope.collection in cast.dropped
    try:
        if batch.op is Op.DELETE:
            seq = incarnation.engine.delete(scope, Selection(batch.ids)).position
        else:
            seq = incarnation.engine.write(scope, batch)
    except NotFound:
        check_gone(cast, scope)
        return
    if was_dropped:
        raise Violation(f"a write to {cast.log(scope).name} is acknowledged after its drop")
    check_acknowledged(cast, scope, batch, seq)


def delete_matching(cast: Cast, incarnation: Incarnation) -> None:
    """Delete by filter: exactly the records that match at the position before."""
    scope = any_collection(cast)
    log, acknowledged, k = (
        cast.log(scope),
        cast.acknowledged.get(scope.collection, 0),
        cast.environment.random.randrange(3),
    )
    try:
        result = incarnation.engine.delete(scope, Selection(where=parse_where({"k": k})))
    except NotFound:
        check_gone(cast, scope)
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
        check_acknowledged(cast, scope, None if log.ttl_key else Batch(Op.DELETE, matching), position)


def read(cast: Cast, incarnation: Incarnation) -> None:
    """Read a whole collection."""
    scope, process = any_collection(cast), incarnation.process
    log, acknowledged = cast.log(scope), cast.acknowledged.get(scope.collection, 0)
    started, clocks = cast.environment.scheduler.time, len(process.offsets) - 1
    try:
        found = incarnation.engine.get(scope, Selection(), None, 0, EVERYTHING)
    except NotFound:
        check_gone(cast, scope)
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
    scope = any_collection(cast)
    log = cast.log(scope)
    position = cast.environment.random.randint(log.first, log.last)
    try:
        found = incarnation.engine.get(scope, Selection(), None, 0, EVERYTHING, at=PointInTime(position=position))
    except NotFound:
        check_gone(cast, scope)
    except InvalidArgument:
        pass  # outside the retention window of the clocks that jump
    else:
        time = log.time(position) / 1000
        check_contents(log, position, as_pairs(found), (time, time))


def fork(cast: Cast, incarnation: Incarnation) -> None:
    """Fork a collection, as it is or as it was."""
    environment, source = cast.environment, any_collection(cast)
    if len(cast.scopes) - len(cast.dropped) >= _MAX_COLLECTIONS:
        return
    log, acknowledged = cast.log(source), cast.acknowledged.get(source.collection, 0)
    is_past = bool(environment.settings.retention_seconds) and environment.random.random() < 0.5
    position = environment.random.randint(log.first, log.last)
    name = new_name(cast, source, "past" if is_past else "fork")
    try:
        made = incarnation.engine.fork(source, name, PointInTime(position=position) if is_past else None)
    except NotFound:
        check_gone(cast, source)
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
    name = new_name(cast, scope, "back")
    try:
        source = restore.find(incarnation.stores, database(incarnation), str(scope.collection))
        made = restore.restore(incarnation.stores, source, None, name)
    except (NotFound, InvalidArgument):
        return  # the clock says that its retention is over
    if made.fork_position < acknowledged:
        raise Violation(f"{log.name} is restored at {made.fork_position}, entry {acknowledged} was acknowledged")
    cast.scopes.append(Scope(TENANT, DATABASE, made.id))


def import_chunk(cast: Cast, incarnation: Incarnation) -> None:
    """Import the next chunk of a file into a collection, and advance the progress with it: exactly once."""
    scope, table = any_collection(cast), incarnation.stores.table
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
        check_gone(cast, scope)
    except ConditionFailed:
        pass  # another importer was first
    else:
        if was_dropped:
            raise Violation(f"an import into {cast.log(scope).name} is acknowledged after its drop")
        check_acknowledged(cast, scope, batch, seq)


def modify(cast: Cast, incarnation: Incarnation) -> None:
    """Change the metadata of a collection, which changes its state beside the log."""
    scope = any_collection(cast)
    key = cast.log(scope).ttl_key
    metadata = {"changed": cast.environment.random.randrange(9)} | ({"afterglow:ttl_key": key} if key else {})
    try:
        incarnation.engine.modify_collection(scope, None, metadata)
    except NotFound:
        check_gone(cast, scope)
