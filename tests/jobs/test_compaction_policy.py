"""Which segments are merged: decisions over manifests."""

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from afterglow.jobs.compaction_policy import Compaction, independent_compactions, next_compaction, next_remaining
from afterglow.jobs.segment_limits import IndexKind
from afterglow.segment.array_file import FileRef
from afterglow.segment.manifest import Manifest, SegmentInfo
from afterglow.settings import Index, Settings

DEFAULTS = Settings()
GRAPH = DEFAULTS.hnsw_min_rows


def segment(name: str, rows: int, *, graph: bool = False, lists: bool = False, deleted: int = 0) -> SegmentInfo:
    file = FileRef(name, 1, "")
    roles = ("rows", "strings", "vectors", *(("graph",) if graph else ()), *(("lists", "centroids") if lists else ()))
    return SegmentInfo(name, rows, 3, dict.fromkeys(roles, file), deleted, file if deleted else None)


def manifest(*segments: SegmentInfo) -> Manifest:
    return Manifest(UUID(int=1), segments=segments, records=sum(segment.live_rows for segment in segments))


def planned(
    *segments: SegmentInfo,
    idle: bool = False,
    settings: Settings = DEFAULTS,
    eager: bool = False,
    stepwise: bool = False,
) -> Compaction | None:
    return next_compaction(manifest(*segments), settings, idle=idle, eager=eager, stepwise=stepwise)


def names(merge: Compaction | None) -> set[str]:
    return set() if merge is None else {segment.id for segment in merge.inputs}


@pytest.mark.parametrize("idle", [False, True])
def test_nothing_to_do(idle: bool) -> None:
    assert planned(idle=idle) is None
    assert planned(segment("a", 10), idle=idle) is None
    assert planned(segment("a", 10 * GRAPH, graph=True), idle=idle) is None
    assert planned(segment("a", 10 * GRAPH, graph=True, deleted=GRAPH), segment("b", 10), idle=idle) is None


def test_small_segments_become_one_with_a_graph() -> None:
    merge = planned(segment("a", DEFAULTS.flush_ops), segment("b", 5))
    assert merge is not None
    assert (names(merge), merge.base, merge.index) == ({"a", "b"}, None, IndexKind.GRAPH)


def test_a_large_graph_is_left_alone_and_one_not_much_larger_is_extended() -> None:
    fresh = segment("fresh", 10_000)
    merge = planned(segment("large", 100_000, graph=True), fresh)
    assert merge is not None
    assert (names(merge), merge.base) == ({"fresh"}, None)
    merge = planned(segment("near", 40_000, graph=True), fresh)
    assert merge is not None
    assert merge.base is not None
    assert (names(merge), merge.base.id) == ({"near", "fresh"}, "near")


def test_the_largest_sound_graph_is_extended() -> None:
    merge = planned(segment("a", 20_000, graph=True), segment("b", 30_000, graph=True), segment("fresh", 10_000))
    assert merge is not None
    assert merge.base is not None
    assert (names(merge), merge.base.id) == ({"a", "b", "fresh"}, "b")


@pytest.mark.parametrize("idle", [False, True])
def test_what_decayed_is_written_anew(idle: bool) -> None:
    merge = planned(segment("a", 100_000, graph=True, deleted=30_000), segment("b", 50), idle=idle)
    assert merge is not None
    assert (names(merge), merge.base, merge.index) == ({"a"}, None, IndexKind.GRAPH)
    merge = planned(segment("a", 100, deleted=26), idle=idle)
    assert merge is not None
    assert (names(merge), merge.base, merge.index) == ({"a"}, None, IndexKind.NONE)


def test_a_decayed_graph_that_has_become_small_loses_its_graph() -> None:
    merge = planned(segment("a", 100_000, graph=True, deleted=99_000))
    assert merge is not None
    assert merge.index is IndexKind.NONE


def test_many_small_segments_become_one() -> None:
    assert planned(*(segment(f"{number}", 1) for number in range(16))) is None
    assert len(names(planned(*(segment(f"{number}", 1) for number in range(17))))) == 17
    assert len(names(planned(*(segment(f"{number}", 1) for number in range(5)), idle=True))) == 5


def test_in_quiet_times_several_graphs_become_one_if_not_too_large() -> None:
    pair = segment("a", 200_000, graph=True), segment("b", 20_000, graph=True)
    assert planned(*pair) is None
    merge = planned(*pair, idle=True, settings=replace(DEFAULTS, index="graph"))
    assert merge is not None
    assert merge.base is not None
    assert (names(merge), merge.base.id) == ({"a", "b"}, "a")
    assert planned(segment("a", 450_000, graph=True), segment("b", 100_000, graph=True), idle=True) is None


@pytest.mark.parametrize("stepwise", [False, True])
def test_in_quiet_times_rows_are_added_to_the_one_graph_at_once(stepwise: bool) -> None:
    """A graph of their own would be joined with it next, and insert them a second time."""
    large, fresh, few = segment("large", 100_000, graph=True), segment("fresh", 4 * GRAPH), segment("few", GRAPH - 1)
    merge = planned(large, fresh, idle=True, stepwise=stepwise)
    assert merge is not None
    assert (names(merge), merge.base, merge.index) == ({"large", "fresh"}, large, IndexKind.GRAPH)
    assert names(planned(large, fresh, stepwise=stepwise, eager=True)) == {"fresh"}, "it is written all anew"
    assert planned(large, few, idle=True, stepwise=stepwise) is None
    many = [segment(f"{number}", 1) for number in range(5)]
    assert names(planned(large, *many, idle=True, stepwise=stepwise)) == {one.id for one in many}


@pytest.mark.parametrize(
    ("index", "rows", "expected"),
    [
        ("auto", GRAPH - 1, IndexKind.NONE),
        ("lists", GRAPH - 1, IndexKind.NONE),
        ("auto", GRAPH, IndexKind.GRAPH),
        ("lists", GRAPH, IndexKind.LISTS),
        ("auto", DEFAULTS.lists_min_rows - 1, IndexKind.GRAPH),
        ("auto", DEFAULTS.lists_min_rows, IndexKind.LISTS),
        ("graph", DEFAULTS.lists_min_rows, IndexKind.GRAPH),
    ],
)
def test_the_number_of_rows_decides_on_the_index(index: str, rows: int, expected: IndexKind) -> None:
    base = segment("graph", rows - 10, graph=True, deleted=0)
    settings = replace(DEFAULTS, index=index)
    merge = planned(base, segment("new", 10), idle=True, settings=settings)
    if merge is None:  # ten rows are not worth extending a graph
        merge = planned(segment("a", rows - 10), segment("b", 10), idle=True, settings=settings)
    kind = IndexKind.NONE if merge is None else merge.index
    assert kind is expected
    assert merge is None or (merge.base is not None) == (expected is IndexKind.GRAPH and "graph" in names(merge))


def test_clustered_segments_count_as_indexed() -> None:
    lists = segment("a", 200_000, lists=True)
    assert planned(lists) is None
    assert names(planned(lists, segment("b", 100_000))) == {"a", "b"}


def test_segments_grow_no_larger_than_a_merge_may_be() -> None:
    bounded = replace(DEFAULTS, max_segment_vector_bytes=12 * 100_000)
    fresh = segment("fresh", 30_000)
    merge = planned(segment("near", 80_000, graph=True), fresh, settings=bounded)
    assert names(merge) == {"fresh"}
    merge = planned(segment("near", 60_000, graph=True), fresh, settings=bounded)
    assert names(merge) == {"near", "fresh"}
    pair = segment("a", 70_000, graph=True), segment("b", 40_000, graph=True)
    assert planned(*pair, idle=True, settings=bounded) is None
    decayed = segment("a", 90_000, graph=True, deleted=30_000), segment("b", 90_000, graph=True, deleted=40_000)
    assert names(planned(*decayed, settings=bounded)) == {"b"}


def test_lists_may_have_three_times_the_vectors_of_a_graph_and_need_little_memory() -> None:
    bounded = replace(DEFAULTS, max_segment_vector_bytes=12 * 150_000, compaction_memory_bytes=2**30)
    near, fresh = segment("near", 400_000, lists=True), segment("fresh", 110_000)
    assert names(planned(near, fresh, settings=bounded)) == {"fresh"}
    near = segment("near", 330_000, lists=True)
    assert names(planned(near, fresh, settings=bounded)) == {"near", "fresh"}
    assert names(planned(near, fresh, settings=replace(bounded, index="graph"))) == {"fresh"}
    long = replace(near, files={**near.files, "strings": FileRef("strings", 440_000 * 50, "")})
    assert names(planned(long, fresh, settings=bounded)) == {"fresh"}
    scarce = replace(bounded, max_segment_vector_bytes=0, compaction_memory_bytes=256 * 430_000)
    assert names(planned(near, fresh, settings=scarce)) == {"fresh"}


def test_memory_bounds_a_segment_too() -> None:
    row = 4 * 3 + 400
    bounded = replace(DEFAULTS, compaction_memory_bytes=row * 100_000)
    fresh = segment("fresh", 30_000)
    assert names(planned(segment("near", 80_000, graph=True), fresh, settings=bounded)) == {"fresh"}
    assert names(planned(segment("near", 60_000, graph=True), fresh, settings=bounded)) == {"near", "fresh"}


def test_a_bulk_load_is_several_merges_that_stay_the_same() -> None:
    bounded = replace(DEFAULTS, max_segment_vector_bytes=12 * 100_000)
    flushed = [segment(f"{number}", 30_000) for number in range(8)]

    def found(*of: SegmentInfo) -> list[set[str]]:
        return [names(compaction) for compaction in independent_compactions(manifest(*of), bounded)]

    first, second = {"0", "1", "2"}, {"3", "4", "5"}
    assert found(*flushed) == [first, second]
    assert found(*flushed, segment("more", 10_000)) == [first, second]
    done = segment("done", 90_000, graph=True)
    assert found(*flushed[3:], done) == [second]
    assert found(*flushed[:3], *flushed[6:], done) == [first]
    assert names(next_remaining(manifest(*flushed), bounded, idle=False)) == {"6", "7"}
    assert names(planned(*flushed, settings=bounded)) == first


def test_in_a_large_collection_smaller_segments_have_lists_too() -> None:
    large = segment("large", 400_000, lists=True)
    for rows, kind in ((16_384, IndexKind.LISTS), (16_383, IndexKind.GRAPH)):
        merge = planned(large, segment("new", rows))
        assert merge is not None
        assert (names(merge), merge.index, merge.base) == ({"new"}, kind, None)


def test_a_bulk_load_is_compacted_in_steps_oldest_first() -> None:
    """Each step has a bounded share of the backlog, and the rows of a load are clustered once."""
    flushed = [segment(f"{number}", 10_000) for number in range(100)]
    waiting, indexed, clustered = flushed, list[SegmentInfo](), 0
    progress = list[int]()
    while waiting:
        merge = planned(*indexed, *waiting, stepwise=True)
        if merge is None:
            break
        taken = [one for one in waiting if one in merge.inputs]
        assert taken == waiting[: len(taken)]
        assert merge.index is IndexKind.LISTS
        rows = sum(one.live_rows for one in merge.inputs)
        assert rows <= 272_000
        clustered += rows
        waiting = waiting[len(taken) :]
        indexed = [one for one in indexed if one not in merge.inputs] + [
            segment(f"lists {len(progress)}", rows, lists=True)
        ]
        progress.append(sum(one.rows for one in indexed))
    assert clustered == progress[-1] == 1_000_000
    assert len(progress) >= 5
    assert planned(*indexed, stepwise=True) is None
    assert names(planned(*indexed, stepwise=True, idle=True)) == {one.id for one in indexed}


def test_progress_moves_while_a_small_collection_is_loaded() -> None:
    flushed = [segment(f"{number}", 8_750) for number in range(12)]
    first = planned(*flushed, stepwise=True)
    assert first is not None
    assert names(first) == {"0", "1", "2", "3"}
    graph = segment("graph", 35_000, graph=True)
    second = planned(graph, *flushed[4:], stepwise=True)
    assert second is not None
    assert (second.base, second.index) == (graph, IndexKind.GRAPH)
    assert names(second) == {"graph", "4", "5", "6", "7"}
    assert names(planned(graph, *flushed[6:], stepwise=True)) == {"graph", *(one.id for one in flushed[6:])}, (
        "a rest of at most half a step is part of it"
    )
    assert names(planned(*flushed, idle=True)) == {one.id for one in flushed}, "alone nobody waits for a step"


def test_under_load_few_rows_are_no_step_of_a_graph() -> None:
    graph = segment("graph", 40_000, graph=True)
    few, enough = ([segment(f"{number}", rows // 2) for number in range(2)] for rows in (16_382, 16_384))
    assert planned(graph, *few, stepwise=True) is None
    assert names(planned(graph, *enough, stepwise=True)) == {"graph", "0", "1"}
    assert names(planned(graph, *few, stepwise=True, idle=True)) == {"graph", "0", "1"}
    assert names(planned(segment("sparse", 40_000, graph=True, deleted=20_000), *few, stepwise=True)) == {"sparse"}
    many = [segment(f"{number}", 100) for number in range(17)]
    assert names(planned(graph, *many, stepwise=True)) == {one.id for one in many}, "queries scan each"


def test_small_lists_are_joined_when_they_are_many_and_large_ones_are_left_alone() -> None:
    large = [segment(f"large {number}", 140_000, lists=True) for number in range(5)]
    small = [segment(f"small {number}", 20_000, lists=True) for number in range(8)]
    fresh = segment("fresh", 20_000)
    assert names(planned(*large, *small[:7], fresh, stepwise=True)) == {"fresh"}
    assert names(planned(*large, *small, fresh, stepwise=True)) == {"fresh", *(one.id for one in small)}
    assert planned(*large, *small[:7], segment("few", 5_000), stepwise=True) is None
    assert names(planned(*large, *small[:2], fresh, stepwise=True, idle=True)) == {"fresh", "small 0", "small 1"}
    many = [segment(f"large {number}", 140_000 + number, lists=True) for number in range(13)]
    assert names(planned(*many, stepwise=True)) == {f"large {number}" for number in range(4)}


@pytest.mark.parametrize("stepwise", [False, True])
def test_lists_are_joined_while_idle_as_long_as_the_smaller_ones_are_half_of_the_next(stepwise: bool) -> None:
    large, middle, small = (segment(f"{rows}", rows, lists=True) for rows in (1_000_000, 300_000, 140_000))
    assert planned(large, middle, small, stepwise=stepwise) is None
    assert planned(large, middle, small, stepwise=stepwise, idle=True) is None
    more = segment("more", 70_000, lists=True)
    joined = planned(large, middle, small, more, stepwise=stepwise, idle=True)
    assert joined is not None
    assert (names(joined), joined.index) == ({"more", "140000", "300000", "1000000"}, IndexKind.LISTS)
    assert names(planned(middle, small, more, stepwise=stepwise, idle=True)) == {"more", "140000", "300000"}


@pytest.mark.parametrize("seed", range(5))
def test_the_rows_of_a_growing_collection_are_clustered_a_few_times_and_few_segments_stay(seed: int) -> None:
    random = np.random.default_rng(seed)
    present: list[SegmentInfo] = []
    added = clustered = 0
    for number in range(70):
        rows = int(random.integers(20_000, 200_000))
        present.append(segment(f"added {number}", rows, lists=True))
        added += rows
        while (merge := planned(*present, stepwise=True, idle=True)) is not None:
            total = sum(one.live_rows for one in merge.inputs)
            clustered += total
            present = [one for one in present if one not in merge.inputs] + [
                segment(f"joined {number}, {len(merge.inputs)}", total, lists=True)
            ]
        sizes = sorted(one.live_rows for one in present)
        assert all(2 * sum(sizes[:index]) < size for index, size in enumerate(sizes) if index), sizes
    assert clustered <= 6 * added


segments = st.builds(
    lambda rows, share, graph: (rows, int(rows * share), graph),
    st.integers(1, 60_000),
    st.sampled_from([0.0, 0.0, 0.1, 0.24, 0.26, 0.6, 0.999]),
    st.booleans(),
)


@example(
    shapes=[(1, 0, False), (59_036, 0, False)],
    idle=False,
    flush_ops=1,
    graph_rows=4_096,
    merge_rows=5_000,
    eager=False,
    stepwise=False,
    index="graph",
)
@given(
    shapes=st.lists(segments, max_size=25),
    idle=st.booleans(),
    flush_ops=st.sampled_from([0, 1, 10, 8_192, 100_000]),
    graph_rows=st.sampled_from([0, 1, 10, 4_096, 100_000]),
    merge_rows=st.sampled_from([0, 0, 1, 5_000, 70_000]),
    eager=st.booleans(),
    stepwise=st.booleans(),
    index=st.sampled_from(list(Index)),
)
def test_merging_comes_to_an_end(
    shapes: list[tuple[int, int, bool]],
    idle: bool,
    flush_ops: int,
    graph_rows: int,
    merge_rows: int,
    eager: bool,
    stepwise: bool,
    index: str,
) -> None:
    """Every plan names segments of the manifest once, and carrying plans out leaves nothing to plan before long."""
    settings = replace(
        DEFAULTS,
        flush_ops=flush_ops,
        hnsw_min_rows=graph_rows,
        max_segment_vector_bytes=12 * merge_rows,
        index=index,
    )
    present = [
        segment(f"{number}", rows, graph=graph, deleted=deleted) for number, (rows, deleted, graph) in enumerate(shapes)
    ]
    for step in range(2 * len(shapes) + 2):
        merge = planned(*present, idle=idle, settings=settings, eager=eager, stepwise=stepwise)
        if merge is None:
            return
        assert merge.inputs
        assert len(names(merge)) == len(merge.inputs)
        assert names(merge) <= {one_segment.id for one_segment in present}
        if merge.base is not None:
            assert merge.index is IndexKind.GRAPH
            assert merge.base in merge.inputs
            assert merge.base.has_graph
        live = sum(one_segment.live_rows for one_segment in merge.inputs)
        most = merge_rows * (3 if merge.index is IndexKind.LISTS else 1)
        assert not merge_rows or len(merge.inputs) == 1 or live <= max(most, 4 * graph_rows)
        assert (merge.index is not IndexKind.NONE) == (live >= graph_rows)
        still_deleted = 0 if merge.base is None else merge.base.deleted_rows
        merged = segment(
            f"merged {step}",
            live + still_deleted,
            graph=merge.index is IndexKind.GRAPH,
            lists=merge.index is IndexKind.LISTS,
            deleted=still_deleted,
        )
        present = [one_segment for one_segment in present if one_segment not in merge.inputs] + [merged]
    raise AssertionError("there is always something to merge")
