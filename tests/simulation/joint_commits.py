"""Commits of several collections: an entry in all of their logs or in none, of one time; what they read still holds."""

from collections.abc import Sequence

import numpy as np

from afterglow.collection.types import Scope, Selection
from afterglow.collection.write.transaction import CommitResult, Transaction
from afterglow.errors import NotFound, StaleRead, Unavailable, WriteConflict
from afterglow.filters.parse import parse_where
from afterglow.log.batch import Batch, Op
from tests.simulation.cast import Cast, JointCommit
from tests.simulation.checks import check_acknowledged, check_gone
from tests.simulation.observer import CollectionLog, Observer, Violation
from tests.simulation.processes import Incarnation
from tests.support.model import EVERYTHING

_IDS = 14
_LARGE = 500


def commit_together(cast: Cast, incarnation: Incarnation) -> None:
    """Read some records of one to three collections, and write in all of them or in some."""
    random, engine = cast.environment.random, incarnation.engine
    scopes = random.sample(cast.scopes, min(len(cast.scopes), random.choice((1, 2, 2, 3))))
    cast.created += 1
    nonce = f"joint-commit-{cast.created:08}"
    parts: list[tuple[Scope, Transaction]] = []
    for number, scope in enumerate(scopes):
        names = [f"r{number}" for number in random.sample(range(_IDS), 2)]
        filters = [Selection(where=parse_where({"k": 1}))] if random.random() < 0.3 else []
        try:
            read = engine.get_in_transaction(scope, Selection(names), None, 0, EVERYTHING, position=None)
        except NotFound:
            check_gone(cast, scope)
            return
        writes = number == 0 or random.random() < 0.8
        batches = [_batch(cast, nonce, scope)] if writes else []
        parts.append((scope, Transaction(batches, read.position, names, filters, nonce)))
    sent = JointCommit({scope.collection: _document(one) for scope, one in parts if one.operations})
    cast.joint_commits.append(sent)
    try:
        results = _commit(incarnation, parts)
    except (WriteConflict, StaleRead):
        _check_absent(cast, sent, "is refused")
        return
    except NotFound:
        states = [cast.observer.collection(f"C#{scope.collection}") for scope in scopes]
        if not any(state is None or state.is_dropped for state in states):
            raise Violation(f"{nonce} finds a collection missing that was not dropped") from None
        _check_absent(cast, sent, "is refused")
        return
    for (scope, transaction), result in zip(parts, results, strict=True):
        if transaction.operations and result.position is not None:
            check_acknowledged(cast, scope, _first(transaction), result.position)
            _check_reads(cast.log(scope), transaction, result.position)
    if len(_found(cast.observer, sent)) < len(sent.documents):
        raise Violation(f"{nonce} is acknowledged, and is not in all logs")


def check_joint_commits(cast: Cast) -> None:
    """Raise Violation for one that is in some of its logs, and for one whose entries have different times."""
    for sent in cast.joint_commits:
        found = _found(cast.observer, sent)
        if found and len(found) < len(sent.documents):
            raise Violation(f"{sent} is in {[log.name for log, _ in found]} alone")
        if len({log.time(seq) for log, seq in found}) > 1:
            raise Violation(f"{sent} has entries of different times")


def _commit(incarnation: Incarnation, parts: Sequence[tuple[Scope, Transaction]]) -> list[CommitResult]:
    """Commit, and once more with the same nonce if the answer is lost."""
    try:
        return incarnation.engine.commit_together(parts)
    except Unavailable:
        return incarnation.engine.commit_together(parts)


def _batch(cast: Cast, nonce: str, scope: Scope) -> Batch:
    random = cast.environment.random
    padding = "x" * (_LARGE if random.random() < 0.3 else 0)
    name, vector = f"r{random.randrange(_IDS)}", [random.randrange(9) for _ in range(3)]
    document = f"{nonce} in {scope.collection} {padding}"
    return Batch(Op.UPSERT, [name], np.array([vector], np.float32), documents=[document], metadatas=[{"k": 1}])


def _first(transaction: Transaction) -> Batch:
    (batch,) = transaction.operations
    assert isinstance(batch, Batch)
    return batch


def _document(transaction: Transaction) -> str:
    (document,) = _first(transaction).documents or ()
    return document or ""


def _found(observer: Observer, sent: JointCommit) -> list[tuple[CollectionLog, int]]:
    """The logs that have an entry of the commit, and its number."""
    return [
        (log, log.first + number)
        for log in (observer.logs[collection] for collection in sent.documents)
        for number, batch in enumerate(log.written, 1)
        if batch is not None and sent.documents[log.id] in (batch.documents or ())
    ]


def _check_absent(cast: Cast, sent: JointCommit, how: str) -> None:
    found = _found(cast.observer, sent)
    if found:
        raise Violation(f"{sent} {how}, but is in {[log.name for log, _ in found]}")


def _check_reads(log: CollectionLog, transaction: Transaction, position: int) -> None:
    """Nothing that was read was written between the reads and the commit."""
    assert transaction.position is not None
    for seq in range(transaction.position + 1, position):
        batch = log.batch(seq)
        if batch is not None and not set(batch.ids).isdisjoint(transaction.read_ids):
            raise Violation(f"entry {seq} of {log.name} writes what the commit at {position} has read")
