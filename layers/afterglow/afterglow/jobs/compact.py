"""Compaction: merge segments into one.

1. Take the rows of the segments to merge that live in the checkpoint: in insertion order, or after all rows of the
   segment whose graph is extended, which keep their row numbers (its dead rows stay dead). What the log after the
   checkpoint does to them does not count: whoever replays it must find what it was written on.
2. Write the new segment. *Crash after: orphans.*
3. Publish a manifest that names it in place of its inputs (`jobs.commit`). Where folds published others meanwhile,
   which add segments and let rows of the inputs die, the merge is carried over: onto the newest manifest, with those
   rows dead in the new segment too. Where another merge took one of the inputs, the race is lost.

So folds need not wait for a merge, which may take minutes.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import collections
from afterglow.collection.replica.checkpoint import graph_parameters
from afterglow.collection.replica.replica import Snapshot
from afterglow.jobs.commit import CommitConflict, commit_manifest
from afterglow.jobs.compaction_policy import Compaction
from afterglow.jobs.flush import with_deletions
from afterglow.segment import manifest as manifests
from afterglow.segment import row_group as parts
from afterglow.segment import writer
from afterglow.segment.hnsw import HnswBuild
from afterglow.segment.manifest import Manifest, SegmentInfo
from afterglow.segment.reader import read_deletions
from afterglow.segment.row_group import RowSubset
from afterglow.segment.writer import GRAPH
from afterglow.settings import Settings
from afterglow.storage.ports import ObjectNotFound, Stores

_ATTEMPTS = 20
_PIECES = 8
"""Vectors go into a graph in pieces of so many-th of the memory that there is."""


@dataclass(frozen=True, slots=True)
class MergedInput:
    """The rows of one input that went into the new segment, and their row numbers there."""

    input: SegmentInfo
    rows: NDArray[np.int64]
    new_rows: NDArray[np.int64]


def compact(stores: Stores, view: Snapshot, merge: Compaction) -> Manifest:
    """Carry out a merge planned on the view's manifest; the new manifest.

    Raises LostRace, NotFound, StorageFull, Unavailable.
    """
    part_of = {info.id: live.rows for info, live in zip(view.manifest.segments, view.row_groups, strict=False)}
    rest = [each for each in merge.inputs if each != merge.base]
    chosen = []
    for info in rest:
        dead = read_deletions(stores.objects, info)
        chosen.append(RowSubset(part_of[info.id], np.arange(info.rows) if dead is None else np.flatnonzero(~dead)))
    order = parts.insertion_order(chosen)
    graph = _graph_plan(stores.settings, view) if merge.graph else None
    if merge.base is not None and graph is not None:
        rest.insert(0, merge.base)
        chosen.insert(0, RowSubset(part_of[merge.base.id], np.arange(merge.base.rows)))
        order = np.concatenate([np.arange(merge.base.rows), order + merge.base.rows])
        graph = replace(graph, extend_from=stores.objects.local_path(merge.base.files[GRAPH].key))
    written = None
    if len(order):
        prefix = manifests.segments_prefix(view.collection.id)
        written = writer.write_segment(stores, prefix, chosen, order, graph)
    return _commit(stores, view, written, _taken(rest, chosen, order))


def _graph_plan(settings: Settings, view: Snapshot) -> HnswBuild:
    return HnswBuild(
        graph_parameters(view.collection), settings.compaction_threads, settings.compaction_memory_bytes // _PIECES
    )


def _taken(inputs: list[SegmentInfo], chosen: list[RowSubset], order: NDArray[np.int64]) -> list[MergedInput]:
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    ends = np.cumsum([len(each.rows) for each in chosen])
    return [
        MergedInput(info, each.rows, places[end - len(each.rows) : end])
        for info, each, end in zip(inputs, chosen, ends.tolist(), strict=True)
    ]


def _commit(stores: Stores, view: Snapshot, written: SegmentInfo | None, taken: list[MergedInput]) -> Manifest:
    """Put the merge in force on whatever manifest is by now."""
    key, present = view.collection.manifest_key, view.manifest
    for _ in range(_ATTEMPTS):
        try:
            new = _rebase(stores, replace(present, collection=view.collection.id), written, taken)
            commit_manifest(stores, view.collection.id, key, new)
        except (CommitConflict, ObjectNotFound):
            state = collections.require(stores.table, view.collection.id)
            if state.manifest_key is None or state.manifest_key == key:
                raise
            key = state.manifest_key
            present = manifests.load(stores.objects, key)
        else:
            return new
    raise CommitConflict


def _rebase(stores: Stores, present: Manifest, written: SegmentInfo | None, taken: list[MergedInput]) -> Manifest:
    """`present` with the new segment in place of its inputs. Raises LostRace where one of them is gone."""
    found = {each.id: each for each in present.segments}
    if any(each.input.id not in found for each in taken):
        raise CommitConflict
    merged: list[SegmentInfo] = []
    if written is not None:
        dead = np.zeros(written.rows, dtype=np.bool_)
        for each in taken:
            mask = read_deletions(stores.objects, found[each.input.id])
            if mask is not None:
                dead[each.new_rows[mask[each.rows]]] = True
        merged = with_deletions(stores, manifests.segments_prefix(present.collection), written, dead)
    inputs = {each.input.id for each in taken}
    kept = [each for each in present.segments if each.id not in inputs]
    return replace(present, number=present.number + 1, segments=(*kept, *merged))
