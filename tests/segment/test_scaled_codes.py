"""Codes of a byte with a scale for each vector: a bounded error, and exact products, however they are grouped."""

import numpy as np
import pytest

from afterglow.segment.scaled_codes import CODE_MAX, encode, products, products_by_entry, products_by_list

SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_code_is_within_half_a_step_of_its_vector(seed: int) -> None:
    source = np.random.default_rng(seed)
    vectors = (source.normal(size=(50, 33)) * 10.0 ** source.integers(-20, 20, size=(50, 1))).astype(np.float32)
    vectors[0] = 0
    codes, scales = encode(vectors)
    assert codes.dtype == np.int8
    assert np.abs(codes).max() == CODE_MAX
    assert (np.abs(codes * scales[:, np.newaxis] - vectors) <= 0.5001 * scales[:, np.newaxis]).all()
    assert not codes[0].any()


@pytest.mark.parametrize("seed", SEEDS)
def test_products_are_exact_for_all_for_runs_and_for_pairs(seed: int) -> None:
    source = np.random.default_rng(seed)
    stored = source.integers(-CODE_MAX, CODE_MAX + 1, size=(5_000, 96), dtype=np.int8)
    codes = source.integers(-CODE_MAX, CODE_MAX + 1, size=(7, 96), dtype=np.int8)
    exact = codes.astype(np.int64) @ stored.astype(np.int64).T
    assert (products(codes[:1], stored) == exact[0]).all()
    starts = [0, 10, 10, 700, 2_000, 4_000, 4_999]
    lengths = [10, 0, 690, 3, 1_500, 900, 1]
    by_list = products_by_list(codes, stored, starts, lengths)
    runs = [
        exact[number, start : start + length]
        for number, (start, length) in enumerate(zip(starts, lengths, strict=True))
    ]
    assert (by_list == np.concatenate(runs)).all()
    numbers, entries = source.integers(7, size=4_500), source.integers(5_000, size=4_500)
    assert (products_by_entry(codes, numbers, stored, entries) == exact[numbers, entries]).all()
