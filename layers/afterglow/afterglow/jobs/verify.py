"""Verification: checks that everything the table references exists, is intact and is consistent. It only reads.

The checks of each collection, where a problem in one collection does not prevent the checks of the next:

1. **Name and state**: the name points to a state with the same name, tenant and database.
2. **Manifest**: it matches the checksum in its key, and its invariants hold.
3. **Files**: each object that it names has the length and checksum in the manifest (`jobs.checksums`).
4. **Segments**: each opens and has the claimed number of rows; over all live rows, ids and insertion sequence numbers
   are unique, the numbers are below the next one, and the rows are as many as the manifest claims.
5. **Log**: the numbers after the last flushed entry have no gap, each entry can be decoded, and its batch exists and
   matches its checksum. Flushed entries that still have an item can be decoded.
6. **Together**: after applying the log to the checkpoint, ids are unique and as many as a reader counts.
7. **The past**: everything else that is stored for it is intact (`jobs.verify_retained`).

A dropped collection that can be restored is checked alike; its damage is a note.

An embedding function that this process would not store is a note: clients that open the collection are in danger.
Objects below the collection's prefix whose names are not ours are notes, not problems: no job reads or deletes them.

Next to a running server, data changes while it is checked: a checkpoint is replaced and collected, a collection is
renamed or dropped. So a problem counts only if name and state are the same after the check as before it; otherwise the
collection is checked again, and for a collection that changes every time, problems count that every check has report.
"""

from dataclasses import dataclass, field, replace

from afterglow.catalog import Collection, Database, collections, embedding_functions, keys
from afterglow.catalog import state as states
from afterglow.collection.replica.checkpoint import graph_parameters
from afterglow.collection.replica.replica import Replica
from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.collection.write.lifecycle import function_policy
from afterglow.errors import AfterglowError, Corrupt
from afterglow.jobs import checksums
from afterglow.jobs.every_collection import NamedCollection
from afterglow.jobs.reachability import is_own_key
from afterglow.jobs.restore import DroppedCollection
from afterglow.jobs.verify_retained import OnBytesRead, RetainedCheck
from afterglow.jobs.verify_rows import check_rows
from afterglow.log import entry as entries
from afterglow.log import read as log
from afterglow.log.entry import Entry, EntryKind
from afterglow.log.read import LogTrimmed
from afterglow.segment import manifest as manifests
from afterglow.segment.manifest import Manifest
from afterglow.segment.reader import Segment, read_deletions
from afterglow.storage.ports import Item, ObjectNotFound, Stores

_MAX_CHECKS = 10


@dataclass(slots=True)
class VerifyReport:
    """What was checked of a collection, its problems, one sentence each, and notes, which are no damage.

    `problems` concern the present: `jobs.repair` can repair them. `past_problems` concern points in time only.
    """

    target: NamedCollection
    is_dropped: bool = False
    records: int = 0
    segments: int = 0
    log_entries: int = 0
    byte_size: int = 0
    problems: list[str] = field(default_factory=list)
    past_problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(stores: Stores, target: NamedCollection, on_bytes_read: OnBytesRead = lambda _: None) -> VerifyReport | None:
    """Check one collection; None if its name is gone. Raises Unavailable."""
    reports: list[VerifyReport] = []
    while len(reports) < _MAX_CHECKS:
        try:
            before = _identity(stores, target)
        except Corrupt as error:
            return VerifyReport(target, problems=[error.message])
        if before is None:
            return None
        report = _check(stores, target, before.state, on_bytes_read)
        if (not report.problems and not report.past_problems) or _identity(stores, target) == before:
            return report
        reports.append(report)
    persistent = set.intersection(*(set(report.problems) for report in reports))
    persistent_past = set.intersection(*(set(report.past_problems) for report in reports))
    return replace(reports[-1], problems=sorted(persistent), past_problems=sorted(persistent_past))


def verify_dropped(stores: Stores, dropped: DroppedCollection, on_bytes_read: OnBytesRead) -> VerifyReport:
    """Check a dropped collection that can be restored; its problems are notes. Raises Unavailable."""
    state = dropped.collection
    database = Database(state.namespace_id, state.database, state.tenant, state.namespace_id)
    report = VerifyReport(NamedCollection(database, state.name, state.id), is_dropped=True)
    _check_data(stores, report, state, on_bytes_read)
    report.notes = [*report.problems, *report.past_problems]
    report.problems, report.past_problems = [], []
    return report


@dataclass(frozen=True, slots=True)
class _Identity:
    """The state that a name points to; it must not change for a problem to count."""

    state: Item | None


def _identity(stores: Stores, target: NamedCollection) -> _Identity | None:
    if (target.name, target.collection) not in collections.list_names(stores.table, target.database.namespace_id):
        return None
    return _Identity(collections.read_state(stores.table, target.collection))


def _check(stores: Stores, target: NamedCollection, item: Item | None, on_bytes_read: OnBytesRead) -> VerifyReport:
    report = VerifyReport(target)
    if item is None:
        report.problems.append(f"the name points to collection {target.collection}, which has no state")
        return report
    try:
        state = states.decode(item)
    except Corrupt as error:
        report.problems.append(error.message)
        return report
    _check_state(report, state)
    report.notes += [
        f"object {info.key!r} does not belong to the collection; it is ignored and never deleted"
        for info in stores.objects.list(f"{state.id}/")
        if not is_own_key(info.key, state.id)
    ]
    policy = function_policy(stores.settings)
    report.notes += [
        f"{problem}, and so does every client that opens the collection: replace its embedding function"
        for problem in embedding_functions.find_problems(embedding_functions.in_schema(state.schema), policy)
    ]
    if _check_data(stores, report, state, on_bytes_read):
        _check_together(stores, report)
    return report


def _check_data(stores: Stores, report: VerifyReport, state: Collection, on_bytes_read: OnBytesRead) -> bool:
    """Check checkpoint, log and past; whether checkpoint and log can be used."""
    retained = RetainedCheck(stores, state, on_bytes_read)
    is_intact = _check_checkpoint(stores, report, state, retained)
    is_readable = _check_log(stores, report, state)
    report.past_problems += retained.problems()
    report.byte_size = retained.byte_size
    return is_intact and is_readable


def _check_state(report: VerifyReport, state: Collection) -> None:
    target = report.target
    actual = (state.tenant, state.database, state.name)
    if (
        actual != (target.database.tenant, target.database.name, target.name)
        or state.namespace_id != target.database.namespace_id
    ):
        report.problems.append(f"the state of collection {state.id} is that of {'/'.join(actual)}")
    if state.id != target.collection:
        report.problems.append(f"the state of collection {target.collection} has the id {state.id}")
    if state.is_dropped:
        report.problems.append(f"the name points to collection {state.id}, which is dropped")


def _check_checkpoint(stores: Stores, report: VerifyReport, state: Collection, retained: RetainedCheck) -> bool:
    """Check manifest, files and segments; whether they can be used."""
    if state.manifest_key is None:
        return True
    before = len(report.problems)
    retained.checked.add(state.manifest_key)
    try:
        manifest = manifests.load(stores.objects, state.manifest_key)
    except (Corrupt, ObjectNotFound) as error:
        report.problems.append(error.message)
        return False
    if manifest.flushed_seq != state.flushed_seq or manifest.flushed_ops != state.flushed_ops:
        report.problems.append(
            f"manifest {state.manifest_key} is flushed to entry {manifest.flushed_seq} "
            f"({manifest.flushed_ops} operations), the state to entry {state.flushed_seq} ({state.flushed_ops})"
        )
    report.records, report.segments = manifest.records, len(manifest.segments)
    for file in (file for segment in manifest.segments for file in segment.objects):
        problem = checksums.checksum_problem(stores.objects, file)
        if problem is not None:
            report.problems.append(f"object {file.key} {problem}")
        retained.checked.add(file.key)
        retained.byte_size += file.size
        retained.on_bytes_read(file.size)
    if len(report.problems) > before:
        return False
    report.problems += _check_segments(stores, state, manifest)
    return len(report.problems) == before


def _check_segments(stores: Stores, state: Collection, manifest: Manifest) -> list[str]:
    problems, groups = [], []
    for info in manifest.segments:
        try:
            segment = Segment(stores.objects, info, graph_parameters(state), verify=False)
            groups.append(RowGroupView(segment.rows, read_deletions(stores.objects, info)))
        except (Corrupt, ObjectNotFound) as error:
            problems.append(error.message)
    if problems:
        return problems
    return check_rows(groups, manifest.records, manifest.next_row_seq, f"manifest {state.manifest_key}")


def _check_log(stores: Stores, report: VerifyReport, state: Collection) -> bool:
    """Check the entries that have items; whether those after the checkpoint can be applied."""
    pk = keys.collection(state.id)
    try:
        flushed = stores.table.query(pk, after=entries.BEFORE_ALL, before=entries.key(state.flushed_seq + 1))
        unflushed = stores.table.query(pk, after=entries.key(state.flushed_seq), before=entries.AFTER_ALL)
    except Corrupt as error:
        report.problems.append(error.message)
        return False
    for item in flushed:
        try:
            entries.decode(item)
        except Corrupt as error:
            report.problems.append(error.message)
    before, expected = len(report.problems), state.flushed_seq
    for item in unflushed:
        expected += 1
        try:
            entry = entries.decode(item)
        except Corrupt as error:
            report.problems.append(error.message)
            continue
        if entry.seq != expected:
            report.problems.append(
                f"the log of collection {state.id} has no entry {expected}, the next one is {entry.seq}"
            )
            expected = entry.seq
        report.problems += _check_entry(stores, state, entry)
        report.log_entries += 1
    return len(report.problems) == before


def _check_entry(stores: Stores, state: Collection, entry: Entry) -> list[str]:
    if entry.kind is EntryKind.PLACEHOLDER:
        problem = f"is a placeholder, but the checkpoint ends at {state.flushed_seq}"
        return [f"log entry {entry.seq} of collection {state.id} {problem}"]
    try:
        list(log.load_batches(stores, state.id, [entry]))
    except Corrupt as error:
        return [error.message]
    except LogTrimmed:
        return [f"log entry {entry.seq} of collection {state.id} is missing"]
    return []


def _check_together(stores: Stores, report: VerifyReport) -> None:
    # The checksums were verified above.
    unverified = replace(stores, settings=replace(stores.settings, verify_checksums=False))
    try:
        snapshot = Replica(unverified, report.target.collection).snapshot()
    except AfterglowError as error:
        report.problems.append(f"collection {report.target.collection} cannot be opened: {error.message}")
        return
    report.records = snapshot.records
    report.problems += check_rows(
        snapshot.row_groups, snapshot.records, snapshot.next_row_seq, f"log entry {snapshot.applied_seq}"
    )
