"""The output of `revision_history`: its trackers and revisions are written together, each change once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from afterglow.collection.read import rows as fetch
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.collection.write import write_path
from afterglow.collection.write.log_end import LogEnd
from afterglow.collection.write.read_condition import ReadCondition
from afterglow.errors import StaleRead, WriteConflict
from afterglow.jobs.function_outputs import OutputRecord, as_batch
from afterglow.jobs.revision_history.revisions import Change, Tracker, revise, revision_id, tracker_id
from afterglow.retry import contended_attempts
from afterglow.storage.ports import Stores

FIELDS = frozenset({Include.DOCUMENTS, Include.METADATAS})
PAGE = 10_000
"""Records read at a time."""
_CHANGES = 150
"""Changes of one write: with the trackers twice as many records."""
_MAX_COMMITS = 20
_OF_THE_WRITE = ("version", "archived_at")
"""What differs between two revisions of the same contents."""


class History:
    """The output collection."""

    def __init__(self, stores: Stores, scope: Scope, key: str) -> None:
        self._stores, self._scope, self._key = stores, scope, key
        self._replica = Replica(stores, scope.collection)
        self._end = LogEnd()

    def record_ids(self) -> list[str]:
        """The records that have a tracker."""
        snapshot = self._replica.snapshot(scope=self._scope)
        groups, rows = fetch.in_insertion_order(snapshot, fetch.selection_masks(snapshot, Selection()))
        found = list[str]()
        for start in range(0, len(rows), PAGE):
            page = slice(start, start + PAGE)
            records = fetch.materialize(snapshot, groups[page], rows[page], frozenset({Include.METADATAS}))
            for name, data in zip(records.ids, records.metadatas or [], strict=True):
                original = orjson.loads(data or b"{}").get("original_id")
                if isinstance(original, str) and name == tracker_id(original):
                    found.append(original)
        return found

    def write(self, changes: Sequence[Change], *, only_differences: bool = False) -> int:
        """Step 3 for all changes, with `only_differences` for those that differ from the last revision."""
        written = 0
        for start in range(0, len(changes), _CHANGES):
            for _ in contended_attempts(self._stores.system, _MAX_COMMITS):
                try:
                    written += self._commit(changes[start : start + _CHANGES], only_differences=only_differences)
                except (WriteConflict, StaleRead):
                    continue
                break
            else:
                raise write_path.too_many_writers(self._scope.collection)
        return written

    def _commit(self, changes: Sequence[Change], *, only_differences: bool) -> int:
        tracker_ids = list({tracker_id(change.record_id): None for change in changes})
        position, found = self._read(tracker_ids)
        trackers = {name: Tracker.from_metadata(record.metadata) for name, record in found.items()}
        if only_differences:
            changes = self._differences(changes, trackers)
        records: dict[str, OutputRecord] = {}
        for change in changes:
            name = tracker_id(change.record_id)
            tracker = trackers.get(name, Tracker())
            if change.seq > tracker.position:
                trackers[name], revised = revise(tracker, change, self._key)
                records |= revised
        if records:
            condition = ReadCondition(self._stores, self._scope.collection, position, tracker_ids)
            write_path.write(self._stores, self._end, self._scope, [as_batch(records)], condition=condition)
        return len(records)

    def _differences(self, changes: Sequence[Change], trackers: Mapping[str, Tracker]) -> list[Change]:
        last_ids = [
            revision_id(change.record_id, trackers.get(tracker_id(change.record_id), Tracker()).max_version)
            for change in changes
        ]
        _, latest = self._read(last_ids)
        compared = (
            _difference(change, latest.get(last_id), self._key)
            for change, last_id in zip(changes, last_ids, strict=True)
        )
        return [change for change in compared if change is not None]

    def _read(self, ids: list[str]) -> tuple[int, dict[str, OutputRecord]]:
        """The position of the snapshot, and the records that exist."""
        snapshot = self._replica.snapshot(ids, scope=self._scope)
        groups, rows = fetch.in_insertion_order(snapshot, fetch.selection_masks(snapshot, Selection(ids)))
        records = fetch.materialize(snapshot, groups, rows, FIELDS)
        found = zip(records.ids, records.documents or [], records.metadatas or [], strict=True)
        return snapshot.applied_seq, {
            name: OutputRecord(document, orjson.loads(data or b"{}")) for name, document, data in found
        }


def _difference(change: Change, latest: OutputRecord | None, key: str) -> Change | None:
    """The change if it differs from the latest revision; the end of a record has the version of that."""
    was_deleted = latest is None or latest.metadata.get("is_delete") is True
    if change.is_delete:
        source_version = None if latest is None else latest.metadata.get("source_version")
        return None if was_deleted else replace(change, metadata={key: source_version})
    if was_deleted or latest is None:
        return change
    _, written = revise(Tracker(), change, key)
    same = any(
        record.document == latest.document and _compared(record.metadata) == _compared(latest.metadata)
        for record in written.values()
    )
    return None if same else change


def _compared(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name not in _OF_THE_WRITE}
