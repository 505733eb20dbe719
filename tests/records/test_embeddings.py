"""Float32 range and base64 of dense vectors; the API and the importer read embeddings alike."""

import base64
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from afterglow.api.validation import embeddings as api
from afterglow.bulk import row_values
from afterglow.bulk.row_values import RowError
from afterglow.errors import AfterglowError
from afterglow.records.embeddings import InvalidBase64, decode_base64, finite_rows, fits_float32

COMPONENTS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-5, 5), st.booleans(), st.none(), st.text(max_size=1)
)
VECTORS = st.one_of(
    st.lists(COMPONENTS, min_size=2, max_size=2),
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
    st.binary(min_size=8, max_size=8).map(lambda raw: base64.b64encode(raw).decode()),
    st.text("ABgw=+/-", max_size=12),
)


@given(VECTORS)
def test_the_api_and_the_importer_accept_the_same_embeddings(value: Any) -> None:
    vectors = None
    try:
        api.check_shape([value], nulls=False)
        vectors = api.parse_embeddings([value]).vectors
        assert vectors is not None
        accepted = vectors.shape == (1, 2)
    except AfterglowError:
        accepted = False
    try:
        packed = np.frombuffer(row_values.encode_embedding(value, 2), dtype="<f4").reshape(1, 2)
    except RowError:
        assert not accepted
        return
    assert finite_rows(packed)[0] == accepted
    if accepted:
        assert vectors is not None
        assert packed.tobytes() == vectors.tobytes()


@pytest.mark.parametrize(
    ("number", "fits"),
    [(3.4028235e38, True), (2.0**128 - 2.0**103, False), (-1e39, False), (float("nan"), False), (0, True)],
)
def test_the_range_of_float32(number: float, fits: bool) -> None:
    assert fits_float32(number) is fits
    with np.errstate(over="ignore"):
        assert bool(np.isfinite(np.float32(number))) is fits


@pytest.mark.parametrize(
    ("text", "position", "is_last"), [("A-==", 1, False), ("AAA", None, False), ("AB==", 1, True), ("AAB=", 2, True)]
)
def test_invalid_base64(text: str, position: int | None, is_last: bool) -> None:
    with pytest.raises(InvalidBase64) as invalid:
        decode_base64(text)
    assert (invalid.value.position, invalid.value.is_last) == (position, is_last)


def test_rows_with_huge_but_finite_components_are_finite() -> None:
    vectors = np.array([[1, 2], [3e38, 3e38], [np.inf, 0], [np.nan, 0]], dtype=np.float32)
    assert finite_rows(vectors).tolist() == [True, True, False, False]
