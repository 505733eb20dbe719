"""Brings records of the copy to the state that they have in the source: documents, metadata, URIs, and their absence.

An equal record is left alone; one whose document is equal keeps its vector. A record without a document cannot be
embedded: the copy does not have it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from afterglow.collection import Batch, Engine, Op
from afterglow.collection.types import Include, Records, Scope, Selection
from afterglow.errors import Busy, ResponseTooLarge, Unavailable
from afterglow.settings import System
from afterglow.storage.ports import Check

FIELDS = frozenset({Include.DOCUMENTS, Include.METADATAS, Include.URIS})
_ATTEMPTS = 600


@dataclass(frozen=True, slots=True)
class _Record:
    document: str | None
    metadata: bytes | None
    uri: str | None


@dataclass(frozen=True, slots=True)
class RecordSync:
    """From one collection to another one, by an engine that runs the function of the second."""

    engine: Engine
    source: Scope
    copy: Scope
    without_document: set[str] = field(default_factory=set)
    """Records of the source that the copy does not have, as far as they were looked at."""

    def sync(self, ids: Sequence[str], owner: Check) -> None:
        """Bring these records to the state that they have now; ids that are in neither collection are ignored.

        Raises ConditionFailed if `owner` fails, and what a write raises.
        """
        try:
            self._sync(ids, _by_id(self._get(self.source, ids)), owner)
        except ResponseTooLarge:
            if len(ids) == 1:
                raise
            self.sync(ids[: len(ids) // 2], owner)
            self.sync(ids[len(ids) // 2 :], owner)

    def sync_page(self, page: Records, owner: Check) -> None:
        """Bring the records of a page of the source to their state there. Raises what `sync` raises."""
        self._sync(page.ids, _by_id(page), owner)

    def delete(self, ids: Sequence[str], owner: Check) -> None:
        """Delete records of the copy."""
        if ids:
            self._write(Batch(Op.DELETE, list(ids)), owner)

    def _sync(self, ids: Sequence[str], theirs: Mapping[str, _Record], owner: Check) -> None:
        ours = _by_id(self._get(self.copy, ids))
        self.without_document.difference_update(ids)
        self.without_document.update(name for name, record in theirs.items() if record.document is None)
        self.delete([name for name in ours if _is_removed(theirs.get(name), ours[name])], owner)
        ours = {name: record for name, record in ours.items() if not _is_removed(theirs.get(name), record)}
        embedded = [name for name, record in theirs.items() if _needs_embedding(record, ours.get(name))]
        if embedded:
            documents = [theirs[name].document for name in embedded]
            self._write(_batch(Op.UPSERT, embedded, theirs, ours, documents), owner)
        changed = [name for name, record in ours.items() if name not in embedded and record != theirs[name]]
        if changed:
            self._write(_batch(Op.UPDATE, changed, theirs, ours, None), owner)

    def _get(self, scope: Scope, ids: Sequence[str]) -> Records:
        return self.engine.get(scope, Selection(ids=list(ids)), None, 0, FIELDS)

    def _write(self, batch: Batch, owner: Check) -> None:
        patiently(self.engine.stores.system, lambda: self.engine.write(self.copy, batch, extra_writes=[owner]))


def patiently(system: System, call: Callable[[], object]) -> None:
    """Call until it succeeds, with pauses while something is busy. Raises the last error, and all other ones."""
    for _ in range(_ATTEMPTS):
        try:
            call()
        except (Busy, Unavailable) as error:
            if isinstance(error, Unavailable) and not error.is_passing:
                raise
            system.sleep(error.retry_after)
        else:
            return
    call()


def _by_id(records: Records) -> dict[str, _Record]:
    """In the order of the records."""
    assert records.documents is not None
    assert records.metadatas is not None
    assert records.uris is not None
    columns = map(_Record, records.documents, map(_canonical, records.metadatas), records.uris)
    return dict(zip(records.ids, columns, strict=True))


def _canonical(metadata: bytes | None) -> bytes | None:
    """Metadata that is equal as bytes if it is equal; an empty object counts as none."""
    fields = None if metadata is None else orjson.loads(metadata)
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS) if fields else None


def _is_removed(theirs: _Record | None, ours: _Record) -> bool:
    """Whether the source has no such record, or has another one since, of which fields are not there that are here."""
    return theirs is None or theirs.document is None or (theirs.uri is None and ours.uri is not None)


def _needs_embedding(theirs: _Record, ours: _Record | None) -> bool:
    return theirs.document is not None and (ours is None or ours.document != theirs.document)


def _batch(
    op: Op,
    ids: Sequence[str],
    theirs: Mapping[str, _Record],
    ours: Mapping[str, _Record],
    documents: Sequence[str | None] | None,
) -> Batch:
    return Batch(
        op,
        list(ids),
        documents=documents,
        metadatas=[_changes(theirs[name], ours.get(name)) for name in ids],
        uris=[theirs[name].uri for name in ids],
    )


def _changes(theirs: _Record, ours: _Record | None) -> dict[str, Any] | None:
    """The metadata that a write must have for the record to get that of the source: without its own further keys."""
    fields: dict[str, Any] = {} if theirs.metadata is None else orjson.loads(theirs.metadata)
    if ours is not None and ours.metadata is not None:
        fields |= dict.fromkeys(orjson.loads(ours.metadata).keys() - fields.keys())
    return fields or None
