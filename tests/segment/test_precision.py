"""The vector type: i8 and bf16 suffice for embeddings, but not far from the origin, at any scale."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.segment import codes, precision
from afterglow.segment.distance import Space
from afterglow.segment.precision import Rounding, VectorType, choose_rounding

Matrix = NDArray[np.float32]
BF16 = Rounding(VectorType.BF16)


def normal(rows: int, dimension: int, seed: int = 5) -> Matrix:
    result: Matrix = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    return result


def choose_vector_type(space: Space, vectors: Matrix) -> VectorType:
    return rounding_of(space, vectors).vector_type


def rounding_of(space: Space, vectors: Matrix, base: Rounding | None = None) -> Rounding:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True) if space is Space.COSINE else np.float32(1)
    largest = float(np.abs(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)).max())
    return choose_rounding(space, vectors, largest, base)


def far(vectors: Matrix) -> Matrix:
    """Offset 10, sigma 0.05."""
    result: Matrix = (10 + vectors / 20).astype(np.float32)
    return result


def unit(vectors: Matrix) -> Matrix:
    result: Matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return result


ORDINARY = {
    "normal": normal(3_000, 32),
    "unit length": unit(normal(6_000, 64)),
    "around 1": (1 + normal(3_000, 64) / 4).astype(np.float32),
    "positive": np.abs(normal(3_000, 32)),
    "small whole numbers": np.floor(np.abs(normal(3_000, 48)) * 80),
    "bits": (normal(3_000, 64) > 1).astype(np.float32),
    "duplicates": np.repeat(normal(30, 32), 100, axis=0),
    "zero": np.zeros((3_000, 32), np.float32),
    "half of them zero": np.concatenate([np.zeros((1_500, 32), np.float32), normal(1_500, 32)]),
    "few": far(normal(20, 32)),
    "one": normal(1, 32),
}


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("space", Space)
def test_ordinary_vectors_stay_in_bf16(space: Space, name: str) -> None:
    assert choose_vector_type(space, ORDINARY[name]) is VectorType.BF16


@pytest.mark.parametrize("space", Space)
@pytest.mark.parametrize("dimension", [96, 384])
def test_embeddings_are_rounded_to_bytes(space: Space, dimension: int) -> None:
    for vectors in (normal(3_000, dimension), unit(normal(3_000, dimension))):
        assert choose_vector_type(space, vectors) is VectorType.I8


@pytest.mark.parametrize("space", [Space.L2, Space.IP])
def test_a_few_long_rows_need_more_than_a_byte(space: Space) -> None:
    vectors = normal(3_000, 128)
    vectors[7] *= 1_000
    assert choose_vector_type(space, vectors) is VectorType.BF16


def test_rows_of_a_cosine_graph_are_encoded_at_length_1_unless_some_have_much_larger_components() -> None:
    vectors = normal(3_000, 128)
    ordinary = rounding_of(Space.COSINE, vectors)
    assert ordinary.compared(Space.COSINE) is Space.IP
    longer = np.concatenate([vectors, 1_000 * vectors[:50]])
    assert rounding_of(Space.COSINE, longer, ordinary) == ordinary
    axes = np.concatenate([vectors, np.eye(128, dtype=np.float32)])
    for base in (None, ordinary, Rounding(VectorType.I8, codes.OWN_SCALE)):
        assert rounding_of(Space.COSINE, axes, base) == Rounding(VectorType.I8, codes.OWN_SCALE)
    own = Rounding(VectorType.I8, codes.OWN_SCALE)
    assert own.compared(Space.COSINE) is Space.COSINE
    assert rounding_of(Space.COSINE, vectors, own) == own


@pytest.mark.parametrize("space", [Space.L2, Space.IP])
def test_a_graph_keeps_its_scale_while_rows_that_join_have_codes_in_it(space: Space) -> None:
    vectors = normal(3_000, 128)
    largest = float(np.abs(vectors).max())
    base = choose_rounding(space, vectors, largest)
    assert choose_rounding(space, vectors, 1.2 * largest, base) == base
    longer = np.concatenate([vectors, 1.5 * vectors])
    other = choose_rounding(space, longer, 1.5 * largest, base)
    assert other.vector_type is VectorType.I8
    assert other.scale < base.scale
    assert choose_rounding(space, vectors, largest, BF16) == BF16
    assert choose_rounding(space, far(vectors), float(far(vectors).max()), base).vector_type is VectorType.F32


@pytest.mark.parametrize("space", Space)
@pytest.mark.parametrize("dimension", [17, 32, 384])
def test_a_small_spread_far_from_the_origin_needs_float32(space: Space, dimension: int) -> None:
    assert choose_vector_type(space, far(normal(3_000, dimension))) is VectorType.F32


def test_one_large_value_in_many_needs_float32() -> None:
    vectors = normal(3_000, 32)
    vectors[:, 3] = 1.7e9 + 86_400 * vectors[:, 3]
    assert choose_vector_type(Space.L2, vectors) is VectorType.F32


def test_a_part_of_the_rows_is_enough() -> None:
    """A tenth of the rows lies where bf16 cannot distinguish them."""
    vectors = normal(5_000, 32)
    vectors[::10] = far(vectors[::10])
    assert choose_vector_type(Space.L2, vectors) is VectorType.F32


@pytest.mark.parametrize("space", [Space.L2, Space.COSINE])
def test_copies_are_near_in_any_kind_of_number(space: Space) -> None:
    assert choose_vector_type(space, np.repeat(far(normal(30, 32)), 100, axis=0)) is VectorType.BF16


@pytest.mark.parametrize("dimension", [1, 2, 3, 16])
def test_few_dimensions_are_always_float32(dimension: int) -> None:
    assert choose_vector_type(Space.L2, normal(100, dimension)) is VectorType.F32


def test_what_rounds_to_infinity_needs_float32() -> None:
    largest = np.full((100, 32), np.finfo(np.float32).max)
    assert np.isinf(precision.rounded(largest)).all()
    assert choose_vector_type(Space.L2, largest) is VectorType.F32


@settings(max_examples=30)
@given(
    space=st.sampled_from(Space),
    power=st.integers(-30, 30),
    offset=st.sampled_from([0.0, 0.5, 2.0, 4.0, 10.0]),
    rows=st.sampled_from([30, 200, 1_000, 5_000]),
    seed=st.integers(0, 99),
)
def test_neither_scale_nor_sign_matters(space: Space, power: int, offset: float, rows: int, seed: int) -> None:
    vectors = (offset + normal(rows, 24, seed) / 10).astype(np.float32)
    recall = precision.rounding_recall(space, vectors, BF16)
    assert 0 <= recall <= 1
    assert precision.rounding_recall(space, np.ldexp(vectors, power), BF16) == recall
    assert precision.rounding_recall(space, -vectors, BF16) == recall


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_rounding_is_to_the_nearest_and_ties_to_even(value: float) -> None:
    vectors = np.array([[value]], dtype=np.float32)
    (result,) = precision.rounded(vectors)[0].view(np.uint32).tolist()
    (given_bits,) = vectors[0].view(np.uint32).tolist()
    assert result & 0xFFFF == 0
    assert result >> 16 == (given_bits >> 16) + int(
        given_bits & 0xFFFF > 0x8000 or (given_bits & 0xFFFF == 0x8000 and bool(given_bits >> 16 & 1))
    )
