"""Opening a checkpoint, and applying the log on top of it.

What is loaded belongs to whoever loaded it: one thread applies at a time (`collection.replica.replica`, `collection.time_travel.snapshot_cache`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import schema
from afterglow.catalog.model import Collection
from afterglow.collection.replica.apply import apply
from afterglow.collection.replica.replica_state import ReplicaState
from afterglow.collection.replica.ttl_filter import TtlCutoff
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, advance_log_time
from afterglow.segment import manifest as manifests
from afterglow.segment.distance import Space
from afterglow.segment.hnsw import HnswParameters
from afterglow.segment.manifest import Manifest
from afterglow.segment.reader import Segment, read_deletions
from afterglow.storage.ports import Stores


@dataclass(frozen=True, slots=True)
class ReplayLimit:
    """How large a tail may grow: rows, and bytes of the batches that it is made of."""

    rows: int
    byte_size: int


class OpenCheckpoint:
    """A checkpoint and what was applied on top of it.

    `key` is its manifest's, None before the first. `applied` is the number of the last log entry in it, `ops` the
    operations up to there, `clock` the time of the log there. `entries` are those applied, where they are `kept`.
    """

    def __init__(self, key: str | None, state: ReplicaState, *, keep_entries: bool = False) -> None:
        self.manifest_key = key
        self.state = state
        self.applied_seq = state.manifest.flushed_seq
        self.applied_ops = state.manifest.flushed_ops
        self.log_time = state.manifest.log_time
        self.memtable_bytes = 0
        self.entries: list[Entry] | None = [] if keep_entries else None

    def apply(self, batches: Iterable[tuple[Entry, Batch | None]], limit: ReplayLimit | None = None) -> None:
        """Apply the entries that follow, in order; stop where the tail has grown to the `most`.

        What raises midway leaves it half applied: it must be thrown away then.
        """
        for entry, batch in batches:
            if limit is not None and (len(self.state.memtable) >= limit.rows or self.memtable_bytes > limit.byte_size):
                return
            self.log_time = advance_log_time(self.log_time, entry)
            if batch is not None:
                expiry = None if entry.ttl_key is None else TtlCutoff(entry.ttl_key, self.log_time / 1000)
                apply(self.state, batch, expiry)
            self.applied_seq = entry.seq
            self.applied_ops += entry.op_count
            self.memtable_bytes += entry.byte_size
            if self.entries is not None:
                self.entries.append(entry)


def open_checkpoint(
    stores: Stores,
    collection: Collection,
    key: str | None,
    open_segments: Mapping[str, Segment],
    *,
    keep_entries: bool = False,
) -> OpenCheckpoint:
    """The checkpoint that the manifest `key` names; segments that are `present` under their ids are not opened anew.

    Raises ObjectMissing, Corrupt, Unavailable, StorageFull.
    """
    if key is None:
        return OpenCheckpoint(None, empty(collection.id), keep_entries=keep_entries)
    objects, settings = stores.objects, stores.settings
    manifest = manifests.load(objects, key)
    parameters = graph_parameters(collection)
    objects.prefetch([file.key for info in manifest.segments if info.id not in open_segments for file in info.objects])
    segments = [
        open_segments.get(info.id) or Segment(objects, info, parameters, verify=settings.verify_checksums)
        for info in manifest.segments
    ]
    dead = [read_deletions(objects, info) for info in manifest.segments]
    return OpenCheckpoint(key, ReplicaState(manifest, segments, dead), keep_entries=keep_entries)


def empty(collection_id: UUID) -> ReplicaState:
    """What there is before the first entry."""
    return ReplicaState(Manifest(collection_id), (), ())


def segments_by_id(segments: Sequence[Segment]) -> dict[str, Segment]:
    """The segments by their ids."""
    return {each.info.id: each for each in segments}


_MIN_EF_CONSTRUCTION = 200
_MIN_EF_SEARCH = 128
_MOST = 4_096
_CONNECTIVITY = (4, 128)


def graph_parameters(collection: Collection) -> HnswParameters:
    """How this collection's graphs are built and searched; absurd configured values are brought into range."""
    configured = schema.index_parameters(collection.schema)
    least, most = _CONNECTIVITY
    return HnswParameters(
        space=Space(configured.space),
        connectivity=min(max(configured.max_neighbors, least), most),
        ef_construction=min(max(configured.ef_construction, _MIN_EF_CONSTRUCTION), _MOST),
        ef_search=min(max(configured.ef_search, _MIN_EF_SEARCH), _MOST),
    )
