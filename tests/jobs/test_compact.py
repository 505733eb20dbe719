"""A compaction rewrites live rows of its inputs into one segment, and extends a graph where it can."""

import pytest

from afterglow.collection import Engine
from afterglow.errors import NotFound
from afterglow.jobs.compact import compact
from afterglow.jobs.compaction_policy import Compaction
from afterglow.jobs.segment_limits import IndexKind
from tests.jobs.environment import Environment


def test_live_rows_of_several_segments_become_one_segment_with_a_graph(env: Environment) -> None:
    for number in range(3):
        env.write(*(f"{number}-{row}" for row in range(4)))
        env.flush()
    env.delete("1-2")
    inputs = env.flush().segments
    before = env.ids()
    manifest = compact(env.stores, env.replica().snapshot(), Compaction(inputs, None, index=IndexKind.GRAPH))
    (segment,) = manifest.segments
    assert (segment.rows, segment.deleted_rows, segment.has_graph) == (11, 0, True)
    assert (manifest.records, manifest.number) == (11, 5)
    assert env.ids() == before


def test_an_extended_graph_keeps_the_row_numbers_of_its_base(env: Environment) -> None:
    env.write(*(f"{row}" for row in range(12)))
    flushed = env.flush()
    (base,) = compact(
        env.stores, env.replica().snapshot(), Compaction(flushed.segments, None, index=IndexKind.GRAPH)
    ).segments
    env.delete("3")
    env.write("new")
    inputs = env.flush().segments
    base = next(segment for segment in inputs if segment.id == base.id)
    (segment,) = compact(env.stores, env.replica().snapshot(), Compaction(inputs, base, index=IndexKind.GRAPH)).segments
    assert (segment.rows, segment.deleted_rows) == (13, 1), "deleted rows of the base stay in the graph"
    assert env.ids() == [*(f"{row}" for row in range(12) if row != 3), "new"]


def test_a_clustered_segment_keeps_the_insertion_order_and_what_was_deleted_meanwhile(env: Environment) -> None:
    for number in range(3):
        env.write(*(f"{number}-{row}" for row in range(4)))
        env.flush()
    late = env.replica().snapshot()
    env.delete("1-2")
    env.flush()
    before = env.ids()
    manifest = compact(env.stores, late, Compaction(late.manifest.segments, None, index=IndexKind.LISTS))
    (segment,) = manifest.segments
    assert (segment.rows, segment.deleted_rows, segment.has_lists, segment.has_graph) == (12, 1, True, False)
    assert env.ids() == before


def test_other_segments_are_untouched(env: Environment) -> None:
    for number in range(3):
        env.write(f"{number}")
        env.flush()
    first, *rest = env.replica().snapshot().manifest.segments
    manifest = compact(env.stores, env.replica().snapshot(), Compaction(tuple(rest), None, index=IndexKind.NONE))
    assert manifest.segments[0] == first
    assert [segment.rows for segment in manifest.segments] == [1, 2]
    assert not manifest.segments[1].has_graph


def test_inputs_without_live_rows_leave_no_segment(env: Environment) -> None:
    env.write("a", "b")
    snapshot_inputs = env.flush().segments
    late = env.replica().snapshot()
    env.delete("a", "b")
    snapshot = env.replica().snapshot()
    assert compact(env.stores, late, Compaction(snapshot_inputs, None, index=IndexKind.NONE)).records == 2
    assert snapshot.records == 0
    assert env.ids() == []


def test_a_dropped_collection(env: Environment) -> None:
    env.write("a")
    inputs = env.flush().segments
    snapshot = env.replica().snapshot()
    Engine(env.stores).delete_collection("default_tenant", "default_database", "tested")
    with pytest.raises(NotFound):
        compact(env.stores, snapshot, Compaction(inputs, None, index=IndexKind.NONE))
