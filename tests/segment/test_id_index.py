"""Ids by hash: the right row, even where hashes collide."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterglow.columns.string_column import StringColumn
from afterglow.segment import id_index
from afterglow.segment.id_index import MISSING

names = st.text(max_size=3)


def strings_of(given_names: list[str]) -> StringColumn:
    return StringColumn.from_list([name.encode() for name in given_names])


@given(st.lists(names, max_size=30), st.lists(names, max_size=10))
def test_the_last_row_of_an_id_is_found(ids: list[str], targets: list[str]) -> None:
    hashes, rows = id_index.build(strings_of(ids))
    assert (np.diff(hashes.astype(object)) >= 0).all()
    result = id_index.lookup(strings_of(ids), hashes, rows, targets, id_index.hash_ids(targets))
    last = {name: row for row, name in enumerate(ids)}
    assert result.tolist() == [last.get(name, MISSING) for name in targets]


@given(st.lists(names, min_size=1, max_size=20), st.lists(names, max_size=10), st.sampled_from([0, 7, 2**64 - 1]))
def test_ids_whose_hashes_are_all_the_same(ids: list[str], targets: list[str], collision: int) -> None:
    hashes = np.full(len(ids), collision, dtype=np.uint64)
    rows = np.random.default_rng(len(ids)).permutation(len(ids)).astype(np.uint32)
    target_hashes = np.full(len(targets), collision, dtype=np.uint64)
    result = id_index.lookup(strings_of(ids), hashes, rows, targets, target_hashes)
    last = {name: row for row, name in enumerate(ids)}
    assert result.tolist() == [last.get(name, MISSING) for name in targets]


def test_hashes_are_frozen() -> None:
    """They are on disk: another hash would find nothing."""
    assert id_index.hash_ids(["", "a", "ключ"]).tolist() == [0x2D06800538D394C2, 0xE6C632B61E964E1F, ids_hash("ключ")]


def ids_hash(name: str) -> int:
    return int(id_index.build(strings_of([name]))[0][0])
