"""Compaction: merge segments into one.

1. Take the rows of the segments to merge that live in the checkpoint: in insertion order, or after all rows of the
   segment whose graph is extended, which keep their row numbers (its dead rows stay dead). What the log after the
   checkpoint does to them does not count: whoever replays it must find what it was written on.
2. Write the new segment. *Crash after: orphans.*
3. Publish a manifest that names it in place of its inputs (`jobs.publish`).
"""

import numpy as np

from afterglow.collection.replica import View
from afterglow.collection.tuning import graph_parameters
from afterglow.jobs.fold import with_dead
from afterglow.jobs.plan import Merge
from afterglow.jobs.publish import publish
from afterglow.segment import manifest as manifests
from afterglow.segment import part as parts
from afterglow.segment import writer
from afterglow.segment.manifest import Manifest, SegmentInfo
from afterglow.segment.part import Chosen
from afterglow.segment.reader import read_dead
from afterglow.segment.writer import GRAPH, GraphPlan
from afterglow.storage.stores import Stores


def compact(stores: Stores, view: View, merge: Merge) -> Manifest:
    """Carry out a merge planned on the view's manifest; the new manifest.

    Raises LostRace, StorageFull, Unavailable.
    """
    old = view.manifest
    prefix = manifests.segments_prefix(view.collection.id)
    part_of = {info.id: live.part for info, live in zip(old.segments, view.parts, strict=False)}
    dead_of = {info.id: read_dead(stores.objects, info) for info in merge.inputs}
    rest = [each for each in merge.inputs if each != merge.base]
    chosen = []
    for info in rest:
        dead = dead_of[info.id]
        chosen.append(Chosen(part_of[info.id], np.arange(info.rows) if dead is None else np.flatnonzero(~dead)))
    order = parts.insertion_order(chosen)
    still_dead = None
    graph = GraphPlan(graph_parameters(view.collection), stores.settings.build_threads) if merge.graph else None
    if merge.base is not None and graph is not None:
        chosen.insert(0, Chosen(part_of[merge.base.id], np.arange(merge.base.rows)))
        order = np.concatenate([np.arange(merge.base.rows), order + merge.base.rows])
        path = stores.objects.local_file(merge.base.files[GRAPH].key)
        graph = GraphPlan(graph.parameters, graph.threads, path)
        base_dead = dead_of[merge.base.id]
        if base_dead is not None:
            still_dead = np.concatenate([base_dead, np.zeros(len(order) - merge.base.rows, dtype=np.bool_)])
    merged: list[SegmentInfo] = []
    if len(order):
        written = writer.write_segment(stores, prefix, chosen, order, graph)
        merged = with_dead(stores, prefix, written, still_dead)
    kept = [each for each in old.segments if each not in merge.inputs]
    new = Manifest(
        collection=old.collection,
        number=old.number + 1,
        folded=old.folded,
        folded_ops=old.folded_ops,
        trimmed=old.trimmed,
        next_ordinal=old.next_ordinal,
        records=old.records,
        segments=(*kept, *merged),
    )
    publish(stores, view.collection.id, view.collection.manifest, new)
    return new
