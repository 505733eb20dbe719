"""What the entries of a log have changed, record by record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from afterglow.collection.replica.apply import merge_metadata, read_contents
from afterglow.collection.replica.checkpoint import OpenCheckpoint
from afterglow.jobs.revision_history.revisions import Change
from afterglow.log.batch import Batch, Op
from afterglow.log.entry import Entry, advance_log_time

Logged = tuple[Entry, Sequence[Batch]]


@dataclass(frozen=True, slots=True)
class _Contents:
    document: str | None
    metadata: Mapping[str, Any]


def changes_of(checkpoint: OpenCheckpoint, logged: Sequence[Logged]) -> list[Change]:
    """What each of the entries that follow the checkpoint has changed, by the rules of `collection.replica.apply`.

    A record that an entry names several times has changed once. An expired record ends when it is deleted.
    """
    contents = _contents(checkpoint, list({name: None for _, batches in logged for name in _ids(batches)}))
    log_time, changes = checkpoint.log_time, list[Change]()
    for entry, batches in logged:
        log_time = advance_log_time(log_time, entry)
        before = {name: contents.get(name) for name in _ids(batches)}
        for batch in batches:
            _apply(contents, batch, entry.ttl_key, log_time / 1000)
        for name, old in before.items():
            new = contents.get(name)
            if new is not None and new is not old:
                changes.append(Change(entry.seq, log_time // 1000, name, new.document, new.metadata))
            elif old is not None and new is None:
                changes.append(Change(entry.seq, log_time // 1000, name, old.document, old.metadata, is_delete=True))
    return changes


def _ids(batches: Sequence[Batch]) -> list[str]:
    return [name for batch in batches for name in batch.ids]


def _contents(checkpoint: OpenCheckpoint, ids: list[str]) -> dict[str, _Contents]:
    """Those of the records that exist, expired or not."""
    locations = checkpoint.state.locate(ids)
    if not locations.found.any():
        return {}
    stored = read_contents(checkpoint.state, locations.take(locations.found))
    found = [ids[index] for index in np.flatnonzero(locations.found).tolist()]
    return {
        name: _Contents(None if document is None else document.decode(), orjson.loads(metadata or b"{}"))
        for name, document, metadata in zip(found, stored.documents, stored.metadatas, strict=True)
    }


def _apply(contents: dict[str, _Contents], batch: Batch, ttl_key: str | None, now: float) -> None:
    seen: set[str] = set()
    for row, name in enumerate(batch.ids):
        is_repeated, old = name in seen, contents.get(name)
        seen.add(name)
        exists = old is not None and not (ttl_key is not None and _is_past(old.metadata.get(ttl_key), now))
        if batch.op is Op.DELETE:
            contents.pop(name, None)
        elif batch.op is Op.ADD and (exists or is_repeated):
            continue
        elif exists or batch.op is not Op.UPDATE:
            document = None if batch.documents is None else batch.documents[row]
            metadata = None if batch.metadatas is None else batch.metadatas[row]
            merged = merge_metadata(old.metadata if exists and old is not None else None, metadata) or {}
            if document is None and exists and old is not None:
                document = old.document
            contents[name] = _Contents(document, merged)


def _is_past(expiry: object, now: float) -> bool:
    return isinstance(expiry, int | float) and not isinstance(expiry, bool) and expiry <= now
