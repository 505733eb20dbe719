"""Open a checkpoint (the manifest's segments with their deletion vectors) and replay the log on top of it.

A checkpoint holds the log up to its manifest's `flushed_seq`; `OpenCheckpoint.apply` adds later entries to the
memtable. An open checkpoint belongs to its opener, which lets one thread apply at a time (`collection.replica.replica`,
`collection.time_travel.snapshot_cache`).

`graph_parameters` derives the parameters of the segments' HNSW indexes from the collection's configuration.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import collections, schema
from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.collection.replica.apply import apply, look_ahead
from afterglow.collection.replica.replica_state import ReplicaState
from afterglow.collection.replica.ttl_filter import TtlCutoff
from afterglow.errors import Corrupt
from afterglow.log import read as log
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, advance_log_time
from afterglow.metering import phase
from afterglow.retry import REREADS, attempts
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.segment.distance import Space
from afterglow.segment.hnsw import HnswParameters
from afterglow.segment.list_index import read_roots
from afterglow.segment.lists import DEFAULT_EF_SEARCH
from afterglow.segment.manifest import Manifest
from afterglow.segment.reader import Segment, read_deletions, whole_files
from afterglow.settings import Settings
from afterglow.storage.ports import ObjectNotFound, Stores

_Logged = tuple[Entry, Sequence[Batch]]
MAX_CONCURRENT_FLUSHES = 8
"""With a backlog, one flush takes the operations of this many regular flushes."""
_COMPACTION_MEMORY_SHARE = 8
"""The indexer replays batches of at most 1/8 of the compaction memory; in the memtable they take about twice that."""
_GROUP_ENTRIES = 256
_GROUP_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReplayLimit:
    """The bound of a memtable during replay: rows, and bytes of the replayed batches."""

    rows: int
    byte_size: int

    @staticmethod
    def of_flush(settings: Settings) -> "ReplayLimit":
        """What one flush takes."""
        memory = settings.compaction_memory_bytes // _COMPACTION_MEMORY_SHARE
        return ReplayLimit(MAX_CONCURRENT_FLUSHES * settings.flush_ops, memory)


class OpenCheckpoint:
    """A checkpoint and the log entries applied on top of it.

    `manifest_key` is None before the first checkpoint. `applied_seq` is the number of the last applied log entry,
    `applied_ops` the operations up to there, `log_time` the log's time there. `entries` are the applied entries with
    `keep_entries`, else None.
    """

    def __init__(self, key: str | None, state: ReplicaState, *, keep_entries: bool = False) -> None:
        self.manifest_key = key
        self.state = state
        self.applied_seq = state.manifest.flushed_seq
        self.applied_ops = state.manifest.flushed_ops
        self.log_time = state.manifest.log_time
        self._batch_bytes = 0
        self.entries: list[Entry] | None = [] if keep_entries else None

    @property
    def memtable_bytes(self) -> int:
        """The bytes of the applied batches and of the codes of their rows."""
        return self._batch_bytes + self.state.memtable.scan_codes.byte_size

    def apply(self, log: Iterable[_Logged], limit: ReplayLimit | None = None) -> None:
        """Apply the entries that follow, in order, with their batches; stop when the memtable exceeds the `limit`.

        An exception may leave an entry half applied: the caller must discard the checkpoint then.
        """
        for group in _groups(log):
            look_ahead(self.state, [batch for _, batches in group for batch in batches])
            for entry, batches in group:
                if limit is not None and (
                    len(self.state.memtable) >= limit.rows or self.memtable_bytes > limit.byte_size
                ):
                    return
                self._apply_one(entry, batches)
        self.state.look_ahead([])

    def _apply_one(self, entry: Entry, batches: Sequence[Batch]) -> None:
        self.log_time = advance_log_time(self.log_time, entry)
        expiry = None if entry.ttl_key is None else TtlCutoff(entry.ttl_key, self.log_time / 1000)
        for batch in batches:
            apply(self.state, batch, expiry)
        self.applied_seq = entry.seq
        self.applied_ops += entry.op_count
        self._batch_bytes += entry.byte_size
        if self.entries is not None:
            self.entries.append(entry)


def _groups(log: Iterable[_Logged]) -> Iterator[list[_Logged]]:
    """The entries in order, some at a time: what applying them reads is read together (`apply.look_ahead`)."""
    group: list[_Logged] = []
    size = 0
    for logged in log:
        group.append(logged)
        size += logged[0].byte_size
        if len(group) == _GROUP_ENTRIES or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def open_checkpoint(
    stores: Stores,
    collection: Collection,
    key: str | None,
    open_segments: Mapping[str, Segment],
    *,
    keep_entries: bool = False,
) -> OpenCheckpoint:
    """Open the checkpoint of the manifest `key`, None for the empty one. Reuses the `open_segments`, by id.

    This process is registered as a reader before (`storage.readers`).
    Raises ObjectNotFound, Corrupt, Busy, Unavailable, StorageFull.
    """
    if key is None:
        return OpenCheckpoint(None, empty(collection.id), keep_entries=keep_entries)
    objects, settings = stores.objects, stores.settings
    if stores.readers is not None:
        stores.readers.register()
    manifest = manifests.load(objects, key)
    parameters = graph_parameters(collection)
    new = [info for info in manifest.segments if info.id not in open_segments]
    objects.prefetch([file.key for info in new for file in whole_files(info)])
    segments = [
        open_segments.get(info.id) or Segment(objects, info, parameters, verify=settings.verify_checksums)
        for info in manifest.segments
    ]
    if open_segments:
        # A warm reader goes on with the new segments: what leads to their files is read here, not by its next query.
        read_roots([segment.lists for segment in segments], search=True, rows=True)
    deletions = [read_deletions(objects, info) for info in manifest.segments]
    return OpenCheckpoint(key, ReplicaState(manifest, segments, deletions), keep_entries=keep_entries)


def open_newest(
    stores: Stores, collection: Collection, open_segments: Mapping[str, Segment], *, keep_entries: bool = False
) -> OpenCheckpoint:
    """The state's checkpoint, or a newer one if that one was replaced and garbage collected meanwhile.

    Raises NotFound, and what `open_checkpoint` raises but ObjectNotFound.
    """
    missing: ObjectNotFound | None = None
    for _ in attempts(stores.system, REREADS):
        key = collection.manifest_key
        try:
            with phase("open"):
                return open_checkpoint(stores, collection, key, open_segments, keep_entries=keep_entries)
        except ObjectNotFound as error:
            missing = error
        log_slice = log.read_after(stores.table, collection.id, collection.flushed_seq)
        if log_slice.state is None:
            raise collections.not_found(collection.id)
        collection = states.decode(log_slice.state)
        if collection.manifest_key == key:
            break
    raise Corrupt(f"collection {collection.id} cannot be opened: {missing}; {RESTORE_HINT}")


def empty(collection_id: UUID) -> ReplicaState:
    """The state before the first log entry."""
    return ReplicaState(Manifest(collection_id), (), ())


def segments_by_id(segments: Sequence[Segment]) -> dict[str, Segment]:
    """The segments by their ids."""
    return {segment.info.id: segment for segment in segments}


_MIN_EF_CONSTRUCTION = 128
_MAX_EF = 4_096
_MIN_CONNECTIVITY, _MAX_CONNECTIVITY = 4, 128


def graph_parameters(collection: Collection) -> HnswParameters:
    """The HNSW build and search parameters of a collection; configured values are clamped to a sensible range.

    `ef_search` is 0, the measured breadth, unless the client configured another than Chroma's default.
    """
    configured = schema.index_parameters(collection.schema)
    return HnswParameters(
        space=Space(configured.space),
        connectivity=min(max(configured.max_neighbors, _MIN_CONNECTIVITY), _MAX_CONNECTIVITY),
        ef_construction=min(max(configured.ef_construction, _MIN_EF_CONSTRUCTION), _MAX_EF),
        ef_search=0 if configured.ef_search == DEFAULT_EF_SEARCH else min(max(configured.ef_search, 1), _MAX_EF),
    )
