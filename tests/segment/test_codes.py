"""Codes of 8 bits: how near they are, what changes nothing, and queries outside of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.segment import codes
from afterglow.segment.distance import Space

Matrix = NDArray[np.float32]


def normal(rows: int, dimension: int, seed: int) -> Matrix:
    result: Matrix = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    return result


@settings(max_examples=50, deadline=None)
@given(power=st.integers(-60, 60), seed=st.integers(0, 1_000), space=st.sampled_from(Space))
def test_codes_are_within_half_a_step_at_any_scale(power: int, seed: int, space: Space) -> None:
    vectors = np.ldexp(normal(30, 40, seed), power)
    scale = codes.OWN_SCALE if space is Space.COSINE else codes.scale_for(float(np.abs(vectors).max()))
    rows = codes.encode_rows(space, vectors, scale)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    steps = largest / codes.LARGEST if space is Space.COSINE else np.float32(1 / scale)
    assert (np.abs(rows * steps - vectors) <= 0.501 * steps).all()
    assert (np.abs(rows.astype(np.int16)) <= codes.LARGEST).all()
    if space is not Space.L2:
        longer = np.ldexp(vectors, 3)
        assert (codes.encode_queries(space, longer, scale) == codes.encode_queries(space, vectors, scale)).all()


@settings(max_examples=50, deadline=None)
@given(power=st.integers(-60, 60), seed=st.integers(0, 1_000))
def test_rows_of_length_1_have_the_same_codes_at_any_length(power: int, seed: int) -> None:
    vectors = normal(30, 128, seed)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    components = np.abs(unit).max(axis=1)
    scale = codes.unit_scale(float(np.median(components)), float(components.max()))
    assert codes.fits(Space.COSINE, float(components.max()), scale)
    rows = codes.encode_rows(Space.COSINE, np.ldexp(vectors, power), scale).astype(np.float32)
    within = np.abs(unit * scale) <= codes.LARGEST
    assert (np.abs(rows - unit * scale)[within] <= 0.501).all()
    assert (np.abs(rows)[~within] == codes.LARGEST).all()


def test_rows_without_length_have_no_scale() -> None:
    assert codes.unit_scale(0.0, 0.0) == 0.0


@pytest.mark.parametrize("space", Space)
def test_zeros_and_extreme_numbers_have_codes(space: Space) -> None:
    largest = np.finfo(np.float32).max
    vectors = np.array([[0, 0, 0], [1e-45, -1e-45, 0], [largest, -largest, 1]], dtype=np.float32)
    scale = codes.OWN_SCALE if space is Space.COSINE else codes.scale_for(float(largest))
    for encoded in (codes.encode_rows(space, vectors, scale), codes.encode_queries(space, vectors, scale)):
        assert encoded.dtype == np.int8
        assert encoded[0].tolist() == [0, 0, 0]
        assert encoded[2, 0] == -encoded[2, 1] > 100
        assert encoded[2, 2] == 0


@pytest.mark.parametrize("largest", [0.0, 1e-45, float("inf")])
def test_some_vectors_have_no_scale(largest: float) -> None:
    assert codes.scale_for(largest) == 0.0


def test_rows_that_join_may_be_a_little_larger() -> None:
    scale = codes.scale_for(2.0)
    assert codes.fits(Space.L2, 2.4, scale)
    assert not codes.fits(Space.L2, 2.6, scale)


def test_a_query_outside_of_the_codes_keeps_its_direction() -> None:
    vectors = normal(50, 40, 1)
    scale = codes.scale_for(float(np.abs(vectors).max()))
    assert codes.are_outside(Space.L2, vectors, scale) is None
    queries = np.concatenate([vectors[:1], 100 * vectors[:1]])
    outside = codes.are_outside(Space.L2, queries, scale)
    assert outside is not None
    assert outside.tolist() == [False, True]
    near, far = codes.encode_queries(Space.L2, queries, scale).astype(np.float64)
    assert near @ far / np.linalg.norm(near) / np.linalg.norm(far) > 0.999
    for space in (Space.IP, Space.COSINE):
        assert codes.are_outside(space, queries, scale) is None
