"""Compaction: rewrite segments as one segment.

1. Select the live rows of the input segments as of the checkpoint: in insertion order, or, when the graph of one
   segment is extended, after all rows of that segment, which keep their row numbers (its deleted rows stay deleted);
   for a clustered segment they are clustered first, and come list by list.
   Log entries after the checkpoint are ignored: replaying them on the new segment must have the same effect as on the
   inputs.
2. Write the new segment. *Crash after: orphans.*
3. Commit a manifest with the new segment in place of its inputs (`jobs.commit`). If flushes have committed manifests in
   the meantime, which add segments and delete rows of the inputs, rebase onto the newest manifest: mark those rows as
   deleted in the new segment too. If another compaction has consumed one of the inputs, the commit is a conflict.

So flushes do not wait for a compaction, which may take minutes. In a data directory its progress can be read meanwhile
(`jobs.build_progress`).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import collections
from afterglow.collection.replica.checkpoint import graph_parameters
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.jobs import build_progress
from afterglow.jobs.commit import CommitConflict, choose_format, commit_manifest
from afterglow.jobs.compaction_policy import Compaction
from afterglow.jobs.flush import with_deletions
from afterglow.jobs.segment_limits import IndexKind
from afterglow.segment import manifest as manifests
from afterglow.segment import progress, row_group, writer
from afterglow.segment.hnsw import HnswBuild
from afterglow.segment.manifest import Manifest, SegmentInfo
from afterglow.segment.progress import OnShare
from afterglow.segment.reader import read_deletions
from afterglow.segment.row_group import RowSubset
from afterglow.segment.writer import ListsBuild
from afterglow.settings import Settings
from afterglow.storage.ports import ObjectNotFound, Stores

_ATTEMPTS = 20
_CLUSTERING_SHARE = 0.5
"""The share of the time that it takes to cluster the rows of a segment, and not to write their lists."""
_CHUNKS_IN_MEMORY = 8
"""Vectors are inserted into a graph in chunks of this fraction of the memory for compaction."""


@dataclass(frozen=True, slots=True)
class MergedInput:
    """The rows of one input that are in the new segment, and their row numbers there; both int64 of the same length."""

    input: SegmentInfo
    rows: NDArray[np.int64]
    new_rows: NDArray[np.int64]


def compact(stores: Stores, snapshot: Snapshot, compaction: Compaction) -> Manifest:
    """Run a compaction planned on the manifest of the snapshot; the new manifest.

    Raises CommitConflict, NotFound, StorageFull, Unavailable.
    """
    with build_progress.reported(stores, snapshot.collection.id, compaction) as on_share:
        return _compact(stores, snapshot, compaction, on_share)


def _compact(stores: Stores, snapshot: Snapshot, compaction: Compaction, on_share: OnShare) -> Manifest:
    stored_format = choose_format(stores)
    row_groups = {
        info.id: group.rows for info, group in zip(snapshot.manifest.segments, snapshot.row_groups, strict=False)
    }
    inputs = [segment for segment in compaction.inputs if segment != compaction.base]
    subsets = []
    for info in inputs:
        deleted = read_deletions(stores.objects, info)
        subsets.append(
            RowSubset(row_groups[info.id], np.arange(info.rows) if deleted is None else np.flatnonzero(~deleted))
        )
    order = row_group.insertion_order(subsets)
    plan: HnswBuild | ListsBuild | None = None
    if compaction.index is IndexKind.LISTS:
        space = graph_parameters(snapshot.collection).space
        clustering = writer.cluster_rows(stores, space, subsets, order, progress.part(on_share, 0, _CLUSTERING_SHARE))
        if clustering is not None:
            on_share = progress.part(on_share, _CLUSTERING_SHARE, 1)
            order = order[clustering.order]
            plan = ListsBuild(clustering, stores.settings.recall_target)
    if plan is None and compaction.index is not IndexKind.NONE:
        plan = _graph_plan(stores.settings, snapshot)
    if compaction.base is not None and isinstance(plan, HnswBuild):
        inputs.insert(0, compaction.base)
        subsets.insert(0, RowSubset(row_groups[compaction.base.id], np.arange(compaction.base.rows)))
        order = np.concatenate([np.arange(compaction.base.rows), order + compaction.base.rows])
        plan = _extending(plan, stores, snapshot, compaction.base)
    written = None
    if len(order):
        prefix = manifests.segments_prefix(snapshot.collection.id)
        purged_seq = snapshot.manifest.flushed_seq if compaction.base is None else compaction.base.purged_seq
        written = replace(
            writer.write_segment(stores, prefix, subsets, order, plan, on_share=on_share), purged_seq=purged_seq
        )
    return _commit(stores, snapshot, written, _merged_inputs(inputs, subsets, order), stored_format)


def _extending(plan: HnswBuild, stores: Stores, snapshot: Snapshot, base: SegmentInfo) -> HnswBuild:
    """The plan for a graph that extends that of a segment."""
    groups = zip(snapshot.manifest.segments, snapshot.row_groups, strict=False)
    graph = next(group.graph for info, group in groups if info.id == base.id)
    assert base.graph_role is not None, "a base has a graph"
    assert graph is not None, "a segment with a graph opens it"
    path = stores.objects.local_path(base.files[base.graph_role].key)
    return replace(plan, extend_from=path, base_scale=graph.rounding.scale, base_reduction=graph.reduction)


def _graph_plan(settings: Settings, snapshot: Snapshot) -> HnswBuild:
    return HnswBuild(
        graph_parameters(snapshot.collection),
        settings.compaction_threads,
        settings.compaction_memory_bytes // _CHUNKS_IN_MEMORY,
        recall=settings.recall_target,
    )


def _merged_inputs(inputs: list[SegmentInfo], subsets: list[RowSubset], order: NDArray[np.int64]) -> list[MergedInput]:
    new_rows = np.empty_like(order)
    new_rows[order] = np.arange(len(order))
    ends = np.cumsum([len(subset.rows) for subset in subsets])
    return [
        MergedInput(info, subset.rows, new_rows[end - len(subset.rows) : end])
        for info, subset, end in zip(inputs, subsets, ends.tolist(), strict=True)
    ]


def _commit(
    stores: Stores, snapshot: Snapshot, written: SegmentInfo | None, inputs: list[MergedInput], stored_format: int
) -> Manifest:
    """Commit the compaction on top of the current manifest."""
    key, current = snapshot.collection.manifest_key, snapshot.manifest
    for _ in range(_ATTEMPTS):
        try:
            new = _rebase(stores, replace(current, collection=snapshot.collection.id), written, inputs)
            commit_manifest(stores, snapshot.collection.id, key, new, stored_format=stored_format)
        except (CommitConflict, ObjectNotFound):
            state = collections.require(stores.table, snapshot.collection.id)
            if state.manifest_key is None or state.manifest_key == key:
                raise
            key = state.manifest_key
            current = manifests.load(stores.objects, key)
        else:
            return new
    raise CommitConflict


def _rebase(stores: Stores, current: Manifest, written: SegmentInfo | None, inputs: list[MergedInput]) -> Manifest:
    """`current` with the new segment in place of its inputs. Raises CommitConflict if one of them is gone."""
    segments = {segment.id: segment for segment in current.segments}
    if any(merged.input.id not in segments for merged in inputs):
        raise CommitConflict
    output: list[SegmentInfo] = []
    if written is not None:
        deleted = np.zeros(written.rows, dtype=np.bool_)
        for merged in inputs:
            mask = read_deletions(stores.objects, segments[merged.input.id])
            if mask is not None:
                deleted[merged.new_rows[mask[merged.rows]]] = True
        output = with_deletions(stores, manifests.segments_prefix(current.collection), written, deleted)
    removed = {merged.input.id for merged in inputs}
    others = [segment for segment in current.segments if segment.id not in removed]
    return replace(current, number=current.number + 1, segments=(*others, *output))
