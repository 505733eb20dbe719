"""Segments: round trips, damage, and the frozen segment of the current format."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterglow.errors import Corrupt
from afterglow.segment import array_file, id_index, writer
from afterglow.segment import manifest as manifests
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.reader import Segment, read_deletions
from afterglow.segment.row_group import RowSubset
from afterglow.storage.ports import ObjectNotFound, Stores
from tests.columns.records import canonical, metadatas_of, sparse_vector, without_empty_values
from tests.segment.fixtures.make import EXPECTED, MANIFEST
from tests.segment.row_groups import (
    PARAMETERS,
    Row,
    every_row,
    lookup,
    memory_row_group,
    random_rows,
    rows,
    rows_of,
    write_rows,
)
from tests.support.stores import quick_folder, stores_at

SHARED = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
FIXTURE = Path(__file__).parent / "fixtures" / "version-3"


def open_segment(stores: Stores, info: SegmentInfo) -> Segment:
    return Segment(stores.objects, info, PARAMETERS)


def assert_columns(segment: Segment, given_rows: list[Row]) -> None:
    assert canonical(metadatas_of(segment.rows.columns)) == canonical(
        without_empty_values([row.metadata for row in given_rows])
    )


@SHARED
@given(rows)
def test_rows_survive_the_round_trip(stores: Stores, given_rows: list[Row]) -> None:
    group = memory_row_group(given_rows)
    segment = open_segment(stores, write_rows(stores, every_row(group)))
    assert repr(rows_of(segment.rows)) == repr(rows_of(group))
    assert segment.rows.row_seqs.tolist() == list(range(len(given_rows)))
    assert segment.rows.norms.tobytes() == group.norms.tobytes()
    assert_columns(segment, given_rows)
    names = [row.id for row in given_rows]
    assert lookup(segment, names) == list(range(len(names)))
    assert lookup(segment, ["not there"]) == [id_index.MISSING]


@pytest.mark.slow
@SHARED
@given(first=rows, second=rows, data=st.data())
def test_subsets_of_several_row_groups_are_in_insertion_order(
    stores: Stores, first: list[Row], second: list[Row], data: st.DataObject
) -> None:
    count = len(first) + len(second)
    row_seqs = np.array(data.draw(st.permutations(range(count))), dtype=np.int64)
    memory = memory_row_group(first, row_seqs[: len(first)])
    mapped = open_segment(stores, write_rows(stores, every_row(memory_row_group(second, row_seqs[len(first) :])))).rows
    subsets = []
    for group in (memory, mapped):
        selected = data.draw(st.sets(st.integers(0, group.rows - 1), min_size=1))
        subsets.append(RowSubset(group, np.array(sorted(selected), dtype=np.int64)))
    segment = open_segment(stores, write_rows(stores, *subsets))
    expected = sorted(
        (
            (int(item.row_group.row_seqs[row]), rows_of(item.row_group)[row])
            for item in subsets
            for row in item.rows.tolist()
        ),
        key=lambda pair: pair[0],
    )
    assert segment.rows.row_seqs.tolist() == [row_seq for row_seq, _ in expected]
    assert repr(rows_of(segment.rows)) == repr([row for _, row in expected])
    assert_columns(segment, [row for _, row in expected])


@pytest.mark.slow
@SHARED
@given(first=rows, second=rows, data=st.data())
def test_a_segment_is_the_same_in_however_little_memory_it_is_written(
    stores: Stores, first: list[Row], second: list[Row], data: st.DataObject
) -> None:
    row_seqs = np.array(data.draw(st.permutations(range(len(first) + len(second)))), dtype=np.int64)
    mapped = open_segment(stores, write_rows(stores, every_row(memory_row_group(first, row_seqs[: len(first)])))).rows
    subsets = []
    for group in (mapped, memory_row_group(second, row_seqs[len(first) :])):
        selected = data.draw(st.sets(st.integers(0, group.rows - 1), min_size=1))
        subsets.append(RowSubset(group, np.array(sorted(selected), dtype=np.int64)))
    frugal = replace(
        stores, settings=replace(stores.settings, compaction_memory_bytes=data.draw(st.sampled_from([0, 64, 2_000])))
    )
    wide, narrow = (write_rows(item, *subsets, graph=True) for item in (stores, frugal))
    assert {role: file.checksum for role, file in narrow.files.items()} == {
        role: file.checksum for role, file in wide.files.items()
    }
    assert all(array_file.checksum_of(stores.objects.local_path(file.key)) == file.checksum for file in wide.objects)


def test_many_rows_go_over_chunks(stores: Stores) -> None:
    given_rows = random_rows(9_000)
    order = np.random.default_rng(1).permutation(9_000)
    segment = open_segment(stores, write_rows(stores, every_row(memory_row_group(given_rows, np.argsort(order)))))
    assert rows_of(segment.rows) == [given_rows[row] for row in order.tolist()]


def test_a_segment_with_a_graph_is_searched_by_it(stores: Stores) -> None:
    given_rows = random_rows(200)
    segment = open_segment(stores, write_rows(stores, every_row(memory_row_group(given_rows)), graph=True))
    assert segment.graph is not None
    result = segment.graph.search(np.array(given_rows[17].vector, dtype=np.float32), 20)
    assert 17 in result.tolist()


def test_only_sparse_vectors_cost_a_file(stores: Stores) -> None:
    bare = [Row("a", (0, 0), None, None, {"k": [1]}), Row("b", (0, 0), None, None, None)]
    assert write_rows(stores, every_row(memory_row_group(bare))).files.keys() == {"rows", "strings", "vectors"}
    sparse = [*bare, Row("c", (0, 0), None, None, {"k": sparse_vector([], [])})]
    info = write_rows(stores, every_row(memory_row_group(sparse)))
    assert info.files.keys() == {"rows", "strings", "vectors", "postings"}
    assert open_segment(stores, info).postings.keys() == {"k"}
    # A compaction without such a row writes no such file.
    assert "postings" not in write_rows(stores, RowSubset(open_segment(stores, info).rows, np.array([0, 1]))).files


def test_lists_that_are_missing_or_too_many_are_noticed(stores: Stores, sound: SegmentInfo) -> None:
    files = {role: file for role, file in sound.files.items() if role != "postings"}
    with pytest.raises(Corrupt, match=f"segment {sound.id} has lists of other keys"):
        open_segment(stores, replace(sound, files=files))
    bare = write_rows(stores, every_row(memory_row_group(random_rows(50))))
    with pytest.raises(Corrupt, match=f"segment {bare.id} has lists of other keys"):
        open_segment(stores, replace(bare, files={**bare.files, "postings": sound.files["postings"]}))


@pytest.fixture
def sound(stores: Stores) -> SegmentInfo:
    sparse = {"k": sparse_vector([1, 7], [0.5, 2.0])}
    given_rows = [replace(row, metadata=sparse) for row in random_rows(50)]
    info = write_rows(stores, every_row(memory_row_group(given_rows)), graph=True)
    deleted = np.zeros(50, dtype=np.bool_)
    deleted[[3, 49]] = True
    return replace(info, deleted_rows=2, deletions=writer.write_deletions(stores, "deleted/", info, deleted))


def test_deletion_vectors_survive_the_round_trip(stores: Stores, sound: SegmentInfo) -> None:
    mask = read_deletions(stores.objects, sound)
    assert mask is not None
    assert np.flatnonzero(mask).tolist() == [3, 49]
    assert read_deletions(stores.objects, replace(sound, deletions=None, deleted_rows=0)) is None
    with pytest.raises(Corrupt, match="3 deleted rows"):
        read_deletions(stores.objects, replace(sound, deleted_rows=3))
    with pytest.raises(Corrupt, match="2 deleted rows"):
        read_deletions(stores.objects, replace(sound, rows=49))


@pytest.mark.parametrize("role", ["rows", "strings", "vectors", "postings", "graph", "deleted"])
@pytest.mark.parametrize("damage", ["cut", "empty", "first bit", "last bit", "middle", "missing"])
def test_damage_to_any_file_is_named(stores: Stores, sound: SegmentInfo, role: str, damage: str) -> None:
    file = sound.deletions if role == "deleted" else sound.files[role]
    assert file is not None
    path = stores.objects.local_path(file.key)
    data = bytearray(path.read_bytes())
    match damage:
        case "cut":
            del data[-1:]
        case "empty":
            data.clear()
        case "first bit":
            data[0] ^= 1
        case "last bit":
            data[-1] ^= 128
        case "middle":
            data[len(data) // 2] ^= 16
        case _:
            path.unlink()
    if damage != "missing":
        path.write_bytes(data)
    read: Callable[[], object] = (
        partial(read_deletions, stores.objects, sound) if role == "deleted" else partial(open_segment, stores, sound)
    )
    with pytest.raises(ObjectNotFound if damage == "missing" else Corrupt, match=file.key):
        read()


@pytest.mark.parametrize("change", [{"rows": 49}, {"rows": 51}, {"dimension": 3}])
def test_a_segment_that_contradicts_its_manifest_is_refused(
    stores: Stores, sound: SegmentInfo, change: dict[str, int]
) -> None:
    with pytest.raises(Corrupt, match=sound.id):
        open_segment(stores, replace(sound, **change))  # type: ignore[arg-type]


def test_a_file_cut_under_an_open_segment_is_noticed(stores: Stores, sound: SegmentInfo) -> None:
    segment = open_segment(stores, sound)
    segment.verify_unchanged()
    path = stores.objects.local_path(sound.files["vectors"].key)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Corrupt, match="vectors"):
        segment.verify_unchanged()


def test_the_frozen_segment_of_version_3_still_opens() -> None:
    """`fixtures/make.py` wrote it; it is not to be written again."""
    with quick_folder() as folder:
        shutil.copytree(FIXTURE, folder / "objects")
        stores = stores_at(folder)
        manifest = manifests.load(stores.objects, MANIFEST)
        assert (manifest.number, manifest.flushed_seq, manifest.flushed_ops, manifest.records) == (1, 3, 14, 10)
        (info,) = manifest.segments
        segment, deleted = open_segment(stores, info), read_deletions(stores.objects, info)
        assert rows_of(segment.rows) == EXPECTED
        assert_columns(segment, EXPECTED)
        assert deleted is not None
        assert np.flatnonzero(deleted).tolist() == [1, 4]
        names = [row.id for row in EXPECTED]
        assert lookup(segment, names) == list(range(12))
        assert segment.graph is not None
        assert sorted(segment.graph.search(np.zeros(2, np.float32), 12).tolist()) == list(range(12))
        stores.table.close()
