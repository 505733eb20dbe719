"""Steps 3 and 4 of an erasure (`jobs.erasure`), which the indexer of each collection takes."""

from afterglow.collection.replica.snapshot import Snapshot
from afterglow.errors import NotFound
from afterglow.jobs import past
from afterglow.jobs.compaction_policy import Compaction
from afterglow.jobs.segment_limits import index_kind
from afterglow.log import trim
from afterglow.settings import Settings
from afterglow.storage.ports import Stores


def next_rewrite(snapshot: Snapshot, settings: Settings) -> Compaction | None:
    """The next rewrite of a segment whose files may have erased rows (step 3); None if there is none."""
    state, manifest = snapshot.collection, snapshot.manifest
    if not state.is_erasing or manifest.flushed_seq < state.erased_seq:
        return None
    for segment in manifest.segments:
        if segment.deleted_rows and segment.purged_seq < state.erased_seq:
            rows = sum(other.live_rows for other in manifest.segments)
            return Compaction((segment,), None, index_kind(segment.live_rows, settings, rows))
    return None


def settle(stores: Stores, snapshot: Snapshot) -> None:
    """Step 4, if step 3 is done as of the snapshot. Raises Unavailable, StorageFull."""
    state, manifest = snapshot.collection, snapshot.manifest
    is_flushed = manifest.flushed_seq >= state.erased_seq
    if not state.is_erasing or not is_flushed or next_rewrite(snapshot, stores.settings) is not None:
        return
    trim.trim(stores, state.id, 0, manifest.flushed_seq)
    try:
        past.shorten(stores, state, manifest.flushed_seq)
    except NotFound:
        return
