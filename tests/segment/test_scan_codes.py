"""Codes for scans: the answers are those of a scan of the vectors, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.columns.builder import ColumnSetBuilder
from afterglow.columns.string_column import StringColumnBuilder
from afterglow.segment import distance, scan_codes
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.exact_knn import knn_scan
from afterglow.segment.row_group import RowGroup
from afterglow.segment.scan_codes import LazyScanCodes, ScanBound, ScanCodes, have_codes

ROWS = 2_048


def row_group(vectors: Vectors) -> RowGroup:
    strings = StringColumnBuilder().snapshot()
    return RowGroup(
        ids=strings,
        row_seqs=np.random.default_rng(len(vectors)).permutation(len(vectors)),
        vectors=vectors,
        norms=distance.squared_norms(vectors),
        columns=ColumnSetBuilder().snapshot(),
        documents=strings,
        uris=strings,
        metadatas=strings,
    )


def made(rng: np.random.Generator, shape: str, dimension: int) -> Vectors:
    """Rows of one of several shapes, with equal rows and rows of zeros among them."""
    rows = rng.normal(size=(ROWS, dimension)).astype(np.float32)
    if shape == "far":
        rows += 50
    elif shape == "lengths":
        rows *= np.exp(rng.normal(size=(ROWS, 1)) * 3).astype(np.float32)
    elif shape == "clusters":
        rows = rows[rng.integers(0, 9, ROWS)] + rows / np.float32(100)
    elif shape == "spikes":
        rows[:, rng.integers(dimension)] *= 1_000
    elif shape == "equal":
        rows = rows[rng.integers(0, 40, ROWS)]
    rows[rng.integers(0, ROWS, 20)] = 0
    rows[rng.integers(0, ROWS, 100)] = rows[0]
    return np.ascontiguousarray(rows)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(["plain", "far", "lengths", "clusters", "spikes", "equal"]),
    space=st.sampled_from(list(Space)),
    dimension=st.sampled_from([1, 2, 7, 64, 384]),
    k=st.sampled_from([0, 1, 10, 100, ROWS - 1, ROWS, 3_000]),
    part=st.booleans(),
)
def test_a_scan_by_codes_gives_the_answer_of_a_scan_of_the_vectors(
    seed: int, shape: str, space: Space, dimension: int, k: int, *, part: bool
) -> None:
    rng = np.random.default_rng(seed)
    plain = row_group(made(rng, shape, dimension))
    lazy = LazyScanCodes()
    coded = replace(plain, scan_codes=lazy)
    for _ in range(3):
        lazy.at_scan(plain.vectors, plain.norms)
    assert lazy.at_scan(plain.vectors, plain.norms) is not None
    rows = np.flatnonzero(rng.random(ROWS) < 0.4) if part else None
    # Not at a row itself: there cosine distances are rounding, which differs with a row's place in a product.
    noise = rng.normal(size=dimension).astype(np.float32)
    near, nearer = plain.vectors[rng.integers(ROWS)] + noise, plain.vectors[0] + noise / np.float32(3)
    for query in (near, nearer, np.zeros(dimension, np.float32), near * np.float32(1e-3)):
        expected = knn_scan(plain, space, query, rows, k)
        found = knn_scan(coded, space, query, rows, k)
        assert found[0].tolist() == expected[0].tolist()
        assert found[1].tobytes() == expected[1].tobytes()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(["plain", "far", "lengths", "clusters", "spikes", "equal"]),
    space=st.sampled_from(list(Space)),
    k=st.sampled_from([0, 1, 10, 100, 2 * ROWS, 4 * ROWS]),
    part=st.booleans(),
)
def test_scans_that_share_a_bound_find_the_nearest_of_all(
    seed: int, shape: str, space: Space, k: int, *, part: bool
) -> None:
    rng = np.random.default_rng(seed)
    groups = [row_group(made(rng, shape, 24)) for _ in range(3)]
    for group in groups[:2]:  # the last one is scanned without codes
        lazy = LazyScanCodes()
        lazy.make(group.vectors, group.norms)
        object.__setattr__(group, "scan_codes", lazy)
    subsets = [np.flatnonzero(rng.random(ROWS) < 0.4) if part else None for _ in groups]
    query = groups[0].vectors[rng.integers(ROWS)] + rng.normal(size=24).astype(np.float32)

    def nearest(bound: ScanBound | None) -> list[tuple[float, int, int]]:
        found = []
        for number, (group, rows) in enumerate(zip(groups, subsets, strict=True)):
            own, distances = knn_scan(group, space, query, rows, k, bound=bound)
            found += [(distance, number, row) for distance, row in zip(distances.tolist(), own.tolist(), strict=True)]
        return sorted(found)[:k]

    assert nearest(ScanBound(k)) == nearest(None)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(["plain", "far", "lengths", "clusters", "spikes", "equal"]),
    space=st.sampled_from(list(Space)),
    k=st.sampled_from([0, 1, 10, ROWS // 16, ROWS]),
    before=st.sampled_from([0.5, 1.0, 2.0, np.inf]),
)
def test_the_largest_margin_leaves_out_no_row_and_no_bound(
    seed: int, shape: str, space: Space, k: int, before: float
) -> None:
    """The same rows and the same bound as by the margins of all rows, whatever bound was known before."""
    rng = np.random.default_rng(seed)
    vectors = made(rng, shape, 24)
    codes = ScanCodes.of(vectors, distance.squared_norms(vectors))
    query = vectors[rng.integers(ROWS)] + rng.normal(size=24).astype(np.float32)
    known = np.partition(distance.exact_distances(space, vectors, query), k)[k] * np.float32(before) if k < ROWS else 0

    def found(few: int) -> tuple[list[int], float]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scan_codes, "_FEW", few)
            bound = ScanBound(k)
            bound.lower(np.full(k, known, dtype=np.float32))
            possible = codes.possible(space, query, None, bound)
            assert possible is not None
            return possible.tolist(), float(bound.value)

    assert found(1) == found(10**9) == found(8)


def test_a_bound_falls_as_rows_are_counted() -> None:
    bound = ScanBound(3)
    steps: tuple[list[float], ...] = ([5.0, 4.0], [9.0], [1.0, 8.0], [7.0], [], [2.0, 3.0])
    values = []
    for step in steps:
        bound.lower(np.array(step, dtype=np.float32))
        values.append(float(bound.value))
    assert values == [np.inf, 9.0, 5.0, 5.0, 5.0, 3.0]


def test_few_rows_are_possible() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(10_000, 384)).astype(np.float32)
    codes = ScanCodes.of(vectors, distance.squared_norms(vectors))
    for space in Space:
        possible = codes.possible(space, rng.normal(size=384).astype(np.float32), None, ScanBound(10))
        assert possible is not None
        assert 10 <= len(possible) < 1_000, space


@pytest.mark.parametrize("factor", [1e-13, 1e-25, 1e17])
def test_rows_and_queries_out_of_range_are_scanned_as_vectors(factor: float) -> None:
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(ROWS, 8)).astype(np.float32)
    tiny_or_huge = vectors * np.float32(factor)
    assert not have_codes(tiny_or_huge, distance.squared_norms(tiny_or_huge))
    assert (
        ScanCodes.of(vectors, distance.squared_norms(vectors)).possible(Space.L2, tiny_or_huge[0], None, ScanBound(3))
        is None
    )


def test_codes_are_made_for_the_third_scan_and_not_for_few_rows() -> None:
    vectors = np.ones((ROWS, 4), np.float32)
    norms = distance.squared_norms(vectors)
    lazy = LazyScanCodes()
    assert [lazy.at_scan(vectors, norms) is not None for _ in range(4)] == [False, False, True, True]
    few = LazyScanCodes()
    assert [few.at_scan(vectors[1:], norms[1:]) for _ in range(4)] == [None] * 4


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    space=st.sampled_from(list(Space)),
    steps=st.lists(st.tuples(st.integers(1, 3 * ROWS), st.booleans()), min_size=1, max_size=6),
    k=st.sampled_from([0, 1, 10, 5_000]),
    part=st.booleans(),
)
def test_the_codes_of_a_group_grow_with_it(
    seed: int, space: Space, steps: list[tuple[int, bool]], k: int, *, part: bool
) -> None:
    rng = np.random.default_rng(seed)
    total = sum(count for count, _ in steps)
    vectors = np.concatenate([made(rng, "clusters", 24) for _ in range(total // ROWS + 1)])[:total]
    lazy, rows, snapshots = LazyScanCodes(), 0, []
    for count, makes in steps:
        rows += count
        group = row_group(vectors[:rows])
        if makes:
            lazy.make(group.vectors, group.norms)
        snapshots.append(group)
    query = vectors[rng.integers(total)] + rng.normal(size=24).astype(np.float32)
    for plain in snapshots:  # the earlier ones have fewer rows than there are codes
        subset = np.flatnonzero(rng.random(plain.rows) < 0.4) if part else None
        expected = knn_scan(plain, space, query, subset, k)
        found = knn_scan(replace(plain, scan_codes=lazy), space, query, subset, k)
        assert found[0].tolist() == expected[0].tolist()
        assert found[1].tobytes() == expected[1].tobytes()


def test_codes_stay_as_they_are_when_later_ones_follow() -> None:
    vectors = np.random.default_rng(7).normal(size=(5 * ROWS, 8)).astype(np.float32)
    norms = distance.squared_norms(vectors)
    lazy, before = LazyScanCodes(), []
    for rows in (ROWS, 2 * ROWS, 3 * ROWS, 4 * ROWS - 1, 5 * ROWS):
        lazy.make(vectors[:rows], norms[:rows])
        codes = lazy.at_scan(vectors[:rows], norms[:rows])
        assert codes is not None
        before.append(codes)
    assert [codes.rows for codes in before] == [ROWS, 2 * ROWS, 3 * ROWS, 3 * ROWS, 5 * ROWS]
    for codes in before:
        whole = ScanCodes.of(vectors[: codes.rows], norms[: codes.rows])
        for name in ("codes", "scales", "rests", "norms", "lengths"):
            assert getattr(codes, name).tobytes() == getattr(whole, name).tobytes(), name
    assert lazy.byte_size == 5 * ROWS * (8 + 4 * 4)
