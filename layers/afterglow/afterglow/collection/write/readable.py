"""Refuses writes to a collection that readers cannot open: what is acknowledged must be readable.

A copy of a live directory, made without `afterglow backup`, may have a table that is newer than its objects. Such a
collection is read-only: it can be listed, read as of earlier points in time, repaired (`jobs.repair`) and dropped.

Checked is that every object exists with the size in the manifest, which reads one small object. Contents are checked by
readers; a process whose last read of a collection found damage tries to read it again before a write
(`collection.read.reader`).
"""

from collections.abc import Iterator, Sequence

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.errors import Corrupt
from afterglow.log.entry import Entry
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.storage.ports import ObjectNotFound, Stores


def is_readable(stores: Stores, collection: Collection, unflushed: Sequence[Entry]) -> bool:
    """Whether readers can open this state with the log after its checkpoint; False if the state has changed since.

    Raises Corrupt if they cannot.
    """
    if not stores.settings.check_before_write:
        return True
    try:
        problem = next(_problems(stores, collection, unflushed), None)
    except Corrupt as error:
        problem = error.message
    if problem is None:
        return True
    # A commit by an indexer replaces objects; only then may they be missing.
    current = collections.require(stores.table, collection.id)
    if current.manifest_key != collection.manifest_key:
        return False
    raise read_only(collection, problem)


def read_only(collection: Collection, problem: str) -> Corrupt:
    """The error for a write to a collection that cannot be read."""
    return Corrupt(
        f"collection [{collection.name}] is read-only until it is repaired (afterglow repair), because it cannot be "
        f"opened: {problem}"
    )


def _problems(stores: Stores, collection: Collection, unflushed: Sequence[Entry]) -> Iterator[str]:
    if collection.manifest_key is not None:
        try:
            manifest = manifests.load(stores.objects, collection.manifest_key)
        except ObjectNotFound:
            yield f"manifest {collection.manifest_key} is missing; {RESTORE_HINT}"
            return
        for file in (file for segment in manifest.segments for file in segment.objects):
            size = _size(stores, file.key)
            if size != file.size:
                found = "is missing" if size is None else f"has {size} bytes instead of {file.size}"
                yield f"object {file.key} {found}; {RESTORE_HINT}"
    for entry in unflushed:
        if entry.payload_key is not None and _size(stores, entry.payload_key) is None:
            yield f"object {entry.payload_key} of log entry {entry.seq} is missing; {RESTORE_HINT}"


def _size(stores: Stores, key: str) -> int | None:
    try:
        return stores.objects.local_path(key).stat().st_size
    except (ObjectNotFound, FileNotFoundError):
        return None
