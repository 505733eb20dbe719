"""Places by id and by insertion order: lookups, repeated and colliding keys, damage, and segments without them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.errors import Corrupt
from afterglow.segment import places, rounds
from afterglow.segment.contents import CONTENTS, PLACES
from afterglow.segment.id_index import MISSING
from afterglow.segment.list_index import ListIndex
from afterglow.segment.places import SAMPLE_STEP
from afterglow.segment.reader import Segment
from afterglow.storage.ports import Stores
from tests.segment.row_groups import (
    PARAMETERS,
    every_row,
    lookup,
    memory_row_group,
    random_rows,
    rows_of,
    write_clustered,
)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=1_200), st.lists(st.integers(-1, 42), min_size=1))
def test_bounds_find_the_first_of_equal_keys_between_the_samples(stored: list[int], requested: list[int]) -> None:
    keys, targets = np.sort(np.array(stored)), np.array(requested)
    starts, stops = places.sampled_bounds(keys[::SAMPLE_STEP], targets, len(keys))
    found = places.lower_bounds(keys, targets, starts, stops)
    is_present = np.isin(targets, keys)
    np.testing.assert_array_equal(found[is_present], np.searchsorted(keys, targets)[is_present])
    for target, slot, stop in zip(targets[~is_present], found[~is_present], stops[~is_present], strict=True):
        assert slot == stop or keys[slot] > target


def clustered(stores: Stores, count: int = 700) -> Segment:
    info = write_clustered(stores, every_row(memory_row_group(random_rows(count))))
    return Segment(stores.objects, info, PARAMETERS)


def index_of(segment: Segment) -> ListIndex:
    assert segment.lists is not None
    return segment.lists


def read_all(segment: Segment) -> None:
    """Read by all three files."""
    lookup(segment, [row.id for row in rows_of(segment.rows)])


def test_every_row_is_found_by_its_id_and_by_its_number(stores: Stores) -> None:
    segment = clustered(stores)
    names = [row.id for row in rows_of(segment.rows)]
    assert lookup(segment, names) == list(range(700))
    assert lookup(segment, ["new", names[5], "new", names[5], ""]) == [MISSING, 5, MISSING, 5, MISSING]
    fresh = Segment(stores.objects, segment.info, PARAMETERS)
    rows = np.array([699, 0, 350])
    found = rounds.run(stores.objects, index_of(fresh).places(rows))
    assert found.rows.tolist() == rows.tolist()
    assert found.row_seqs.tolist() == segment.rows.row_seqs[rows].tolist()
    data = stores.objects.need([index_of(fresh).reader.record_request(found)])[0]
    assert [record[0] for record in index_of(fresh).reader.records(data, found)] == [
        names[row].encode() for row in rows
    ]


def test_ids_with_one_sort_key_are_distinguished(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    original = places.fingerprints

    def colliding(ids: object) -> object:
        prints = original(ids).copy()  # type: ignore[arg-type]
        prints[:, 0] = prints[:, 0] % 3
        return prints

    monkeypatch.setattr(places, "fingerprints", colliding)
    segment = clustered(stores)
    names = [row.id for row in rows_of(segment.rows)]
    assert lookup(segment, [*names, "new"]) == [*range(700), MISSING]


def test_records_are_stored_in_insertion_order(stores: Stores) -> None:
    segment = clustered(stores)
    reader = index_of(segment).reader
    found = rounds.run(stores.objects, reader.read_order(np.array([0]), np.array([700])))
    assert found["row_seq"].tolist() == sorted(segment.rows.row_seqs.tolist())
    ends = found["record_offset"] + found["record_length"]
    assert found["record_offset"].tolist() == [0, *ends[:-1].tolist()]


def test_a_segment_of_a_release_without_them_is_read(stores: Stores) -> None:
    segment = clustered(stores)
    files = {role: file for role, file in segment.info.files.items() if role not in (CONTENTS, PLACES)}
    earlier = Segment(stores.objects, replace(segment.info, files=files), PARAMETERS)
    names = [row.id for row in rows_of(segment.rows)]
    assert lookup(earlier, [names[3], "new"]) == [3, MISSING]
    assert rows_of(earlier.rows) == rows_of(segment.rows)
    rows = np.array([5, 600])
    found, expected = (rounds.run(stores.objects, index_of(one).places(rows)) for one in (earlier, segment))
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("role", [CONTENTS, PLACES, "rows"])
def test_damage_is_noticed(stores: Stores, role: str) -> None:
    info = clustered(stores).info
    path = Path(stores.objects.local_path(info.files[role].key))
    data = bytearray(path.read_bytes())
    for position in range(200, len(data), 4_096):
        data[position] ^= 1
    path.write_bytes(data)
    segment = Segment(stores.objects, info, PARAMETERS)
    with pytest.raises(Corrupt, match=info.files[role].key):
        read_all(segment)


@pytest.mark.slow
def test_contents_of_another_segment_are_refused(stores: Stores) -> None:
    info, other = clustered(stores).info, clustered(stores, 300).info
    for mixed in ({**info.files, CONTENTS: other.files[CONTENTS]}, {**info.files, PLACES: other.files[PLACES]}):
        with pytest.raises(Corrupt, match=r"cannot be read|does not match its segment"):
            lookup(Segment(stores.objects, replace(info, files=mixed), PARAMETERS), ["5"])
