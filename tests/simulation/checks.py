"""What a client must get back, compared with the observer.

An acknowledged write is in the log at the position that was acknowledged; a read equals the collection at the position
that it names.
"""

from collections.abc import Sequence

from afterglow.collection.types import Scope
from afterglow.log.batch import Batch
from tests.simulation.cast import Cast
from tests.simulation.observer import CollectionLog, Violation, is_expired
from tests.support.model import Record, canonical


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


def check_acknowledged(cast: Cast, scope: Scope, batch: Batch | None, seq: int | None) -> None:
    """Raise Violation if the log does not have the batch at the position that was acknowledged."""
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


def check_gone(cast: Cast, scope: Scope) -> None:
    """Raise Violation if a collection that was not found exists."""
    state = cast.observer.collection(f"C#{scope.collection}")
    if state is not None and not state.is_dropped:
        raise Violation(f"{state.name} is not found")
