"""What the building of an index reports: ascending shares, 1 only when all rows are done."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.segment import clustering, hnsw, insertion_order, progress, projection
from afterglow.segment.distance import Space, squared_norms
from afterglow.segment.hnsw import HnswBuild, HnswParameters

PARAMETERS = HnswParameters(Space.L2, 8, 16, 0)


def is_ascending_to_one(shares: list[float]) -> bool:
    return len(shares) > 3 and shares == sorted(set(shares)) and shares[0] > 0 and shares[-1] == 1


@pytest.mark.parametrize("base_rows", [0, 300])
def test_a_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base_rows: int) -> None:
    monkeypatch.setattr(insertion_order, "_THREAD_ROWS", 50)
    vectors = np.random.default_rng(0).normal(size=(700, 4)).astype(np.float32)
    base = tmp_path / "base" if base_rows else None
    if base is not None:
        hnsw.build(base, HnswBuild(PARAMETERS, 1, 10_000), vectors[:base_rows])
    shares: list[float] = []
    hnsw.build(tmp_path / "graph", HnswBuild(PARAMETERS, 1, 10_000, base), vectors, shares.append)
    assert is_ascending_to_one(shares)
    assert shares[0] < 0.2, "the rows of the base are not work"


def test_lists() -> None:
    vectors = np.random.default_rng(0).normal(size=(700, 4)).astype(np.float32)
    fitted = projection.fit(Space.L2, vectors, float(squared_norms(vectors).max()))
    assert fitted is not None
    shares: list[float] = []
    clustering.cluster(lambda rows: fitted.rows(vectors[rows]), len(vectors), fitted, 500, shares.append)
    assert is_ascending_to_one(shares)


def test_a_part_of_a_step() -> None:
    shares: list[float] = []
    half = progress.part(shares.append, 0.5, 1)
    progress.part(half, 0, 0.5)(0.5)
    half(1)
    assert shares == [0.625, 1]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 5_000), st.integers(1, 4))
def test_threads_insert_every_row_once_and_their_ranges_in_order(count: int, threads: int) -> None:
    rows = np.arange(count) * 2
    parts = list(insertion_order.thread_parts(rows, threads))
    assert sorted(np.concatenate([rows[:0], *parts]).tolist()) == rows.tolist()
    for number, whole in enumerate(np.array_split(rows, threads)):
        inserted = [np.array_split(part, threads)[number] for part in parts]
        assert np.concatenate([rows[:0], *inserted]).tolist() == whole.tolist()
