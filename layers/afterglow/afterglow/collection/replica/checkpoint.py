"""Opening a checkpoint, and applying the log on top of it.

What is loaded belongs to whoever loaded it: one thread applies at a time (`collection.replica.replica`, `collection.time_travel.snapshot_cache`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import schema
from afterglow.catalog.model import Collection
from afterglow.collection.replica.apply import apply
from afterglow.collection.replica.replica_state import Memory
from afterglow.collection.replica.ttl_filter import Expiry
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, following
from afterglow.segment import manifest as manifests
from afterglow.segment.distance import Space
from afterglow.segment.hnsw import GraphParameters
from afterglow.segment.manifest import Manifest
from afterglow.segment.reader import Segment, read_dead
from afterglow.storage.ports import Stores


@dataclass(frozen=True, slots=True)
class MostTail:
    """How large a tail may grow: rows, and bytes of the batches that it is made of."""

    rows: int
    size: int


class Loaded:
    """A checkpoint and what was applied on top of it.

    `key` is its manifest's, None before the first. `applied` is the number of the last log entry in it, `ops` the
    operations up to there, `clock` the time of the log there. `entries` are those applied, where they are `kept`.
    """

    def __init__(self, key: str | None, memory: Memory, *, kept: bool = False) -> None:
        self.key = key
        self.memory = memory
        self.applied = memory.manifest.folded
        self.ops = memory.manifest.folded_ops
        self.clock = memory.manifest.clock
        self.tail_bytes = 0
        self.entries: list[Entry] | None = [] if kept else None

    def apply(self, loaded: Iterable[tuple[Entry, Batch | None]], most: MostTail | None = None) -> None:
        """Apply the entries that follow, in order; stop where the tail has grown to the `most`.

        What raises midway leaves it half applied: it must be thrown away then.
        """
        for entry, batch in loaded:
            if most is not None and (len(self.memory.tail) >= most.rows or self.tail_bytes > most.size):
                return
            self.clock = following(self.clock, entry)
            if batch is not None:
                expiry = None if entry.ttl_key is None else Expiry(entry.ttl_key, self.clock / 1000)
                apply(self.memory, batch, expiry)
            self.applied = entry.seq
            self.ops += entry.ops
            self.tail_bytes += entry.size
            if self.entries is not None:
                self.entries.append(entry)


def open_checkpoint(
    stores: Stores,
    collection: Collection,
    key: str | None,
    present: Mapping[str, Segment],
    *,
    kept: bool = False,
) -> Loaded:
    """The checkpoint that the manifest `key` names; segments that are `present` under their ids are not opened anew.

    Raises ObjectMissing, Corrupt, Unavailable, StorageFull.
    """
    if key is None:
        return Loaded(None, empty(collection.id), kept=kept)
    objects, settings = stores.objects, stores.settings
    manifest = manifests.load(objects, key)
    parameters = graph_parameters(collection)
    objects.fetch([file.key for info in manifest.segments if info.id not in present for file in info.objects])
    segments = [
        present.get(info.id) or Segment(objects, info, parameters, verify=settings.verify_checksums)
        for info in manifest.segments
    ]
    dead = [read_dead(objects, info) for info in manifest.segments]
    return Loaded(key, Memory(manifest, segments, dead), kept=kept)


def empty(collection_id: UUID) -> Memory:
    """What there is before the first entry."""
    return Memory(Manifest(collection_id), (), ())


def by_id(segments: Sequence[Segment]) -> dict[str, Segment]:
    """The segments by their ids."""
    return {each.info.id: each for each in segments}


_LEAST_CONSTRUCTION = 200
_LEAST_SEARCH = 128
_MOST = 4_096
_CONNECTIVITY = (4, 128)


def graph_parameters(collection: Collection) -> GraphParameters:
    """How this collection's graphs are built and searched; absurd configured values are brought into range."""
    configured = schema.index_parameters(collection.schema)
    least, most = _CONNECTIVITY
    return GraphParameters(
        space=Space(configured.space),
        connectivity=min(max(configured.max_neighbors, least), most),
        ef_construction=min(max(configured.ef_construction, _LEAST_CONSTRUCTION), _MOST),
        ef_search=min(max(configured.ef_search, _LEAST_SEARCH), _MOST),
    )
