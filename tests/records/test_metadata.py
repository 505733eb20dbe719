"""The rules of records, and that the API and the importer apply the same ones."""

import copy
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given

from afterglow.api.validation import metadata as api
from afterglow.bulk import row_values
from afterglow.bulk.row_values import RowError
from afterglow.errors import AfterglowError, InvalidArgument
from afterglow.records.keys import KeyProblem, key_problem
from afterglow.records.metadata import InvalidValue, normalize_values
from afterglow.records.sparse import SparseProblem, has_sparse_schema, normalize_sparse, sparse_problem

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([1e39, 3.5e38, 0])
)
TEXT = st.text(max_size=5)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT)
INDICES = st.lists(st.integers(-1, 2**32), max_size=4)
SPARSE = st.fixed_dictionaries(
    {
        "indices": st.one_of(INDICES, INDICES.map(lambda indices: sorted(set(indices)))),
        "values": st.lists(NUMBERS, max_size=4),
    },
    optional={
        "#type": st.sampled_from(["sparse_vector", "dense", None]),
        "tokens": st.one_of(st.none(), st.lists(TEXT, max_size=4)),
        "other": SCALARS,
    },
)
VALID_SPARSE = st.dictionaries(st.integers(0, 2**32 - 1), NUMBERS, max_size=4).map(
    lambda weights: {"indices": sorted(weights), "values": [weights[index] for index in sorted(weights)]}
)
ARRAYS = st.one_of(
    st.lists(SCALARS, max_size=3), st.lists(NUMBERS, max_size=3), st.lists(TEXT), st.lists(st.booleans())
)
VALUES = st.one_of(SCALARS, ARRAYS, SPARSE, VALID_SPARSE, st.dictionaries(TEXT, SCALARS, max_size=2))
KEYS = st.one_of(st.sampled_from(["a", "b", "", "#a", "$a", "chroma:a", "chroma"]), TEXT)


def is_nested(value: Any) -> bool:
    return isinstance(value, dict) and value.get("#type") != "sparse_vector" and not has_sparse_schema(value)


@given(st.dictionaries(KEYS, VALUES, max_size=3))
def test_the_api_and_the_importer_accept_and_normalize_alike(record: dict[str, Any]) -> None:
    """But for nested values, which the API refuses and a file's report names as left out."""
    nested = {key for key, value in record.items() if is_nested(value)}
    imported = copy.deepcopy(record)
    stored = {key: 0 if key in nested else copy.deepcopy(value) for key, value in record.items()}
    try:
        metadatas = api.check_shape([stored], nulls=True)
        assert metadatas is not None
        api.check_values(metadatas)
    except AfterglowError:
        with pytest.raises(RowError):
            row_values.metadata(imported)
        return
    # In a request null deletes a key of the stored record; a file has nothing to delete.
    expected = {key: value for key, value in stored.items() if value is not None and key not in nested} or None
    assert orjson.dumps(row_values.metadata(imported)) == orjson.dumps(expected)


def test_a_sparse_value_beyond_float32_is_rejected_in_a_file() -> None:
    with pytest.raises(RowError, match="metadata key 's' holds an invalid sparse vector: a value is beyond float32"):
        row_values.metadata({"s": {"#type": "sparse_vector", "indices": [3], "values": [1e39]}})


def test_a_sparse_vector_without_its_type_is_accepted_in_a_file() -> None:
    found = row_values.metadata({"s": {"indices": [3], "values": [1], "extra": True}})
    assert found == {"s": {"#type": "sparse_vector", "indices": [3], "values": [1.0]}}
    assert found is not None
    assert type(found["s"]["values"][0]) is float


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        ({"indices": [], "values": []}, None),
        ({"indices": [0, 2**32 - 1], "values": [1, 3.4028235e38]}, None),
        ({"indices": [1], "values": [1.0], "tokens": ["a"]}, None),
        ({"indices": [1], "values": []}, SparseProblem.VALUE_COUNT),
        ({"indices": [1], "values": [1.0], "tokens": []}, SparseProblem.TOKEN_COUNT),
        ({"indices": [1, 1], "values": [1.0, 1.0]}, SparseProblem.ORDER),
        ({"indices": [2, 1], "values": [1.0, 1.0]}, SparseProblem.ORDER),
        ({"indices": [1, 2], "values": [1.0, -1e39]}, SparseProblem.RANGE),
        ({"indices": [1], "values": [2.0**128 - 2.0**103]}, SparseProblem.RANGE),
    ],
)
def test_sparse_vectors(vector: dict[str, Any], problem: SparseProblem | None) -> None:
    assert has_sparse_schema(vector)
    assert sparse_problem(vector) is problem
    assert sparse_problem(normalize_sparse(vector)) is problem


@pytest.mark.parametrize(
    "vector",
    [
        {"values": []},
        {"indices": [True], "values": [1.0]},
        {"indices": [2**32], "values": [1.0]},
        {"indices": [1], "values": [True]},
        {"indices": [1], "values": [1.0], "tokens": [1]},
        {"#type": None, "indices": [], "values": []},
    ],
)
def test_other_dicts_are_no_sparse_vectors(vector: dict[str, Any]) -> None:
    assert not has_sparse_schema(vector)


def test_keys() -> None:
    problems = {key: key_problem(key) for key in ("", "#a", "$a", "chroma:a", "chroma", "a#")}
    assert problems == {
        "": KeyProblem.EMPTY,
        "#a": KeyProblem.RESERVED_CHARACTER,
        "$a": KeyProblem.RESERVED_CHARACTER,
        "chroma:a": KeyProblem.RESERVED_PREFIX,
        "chroma": None,
        "a#": None,
    }


def test_numbers_are_normalized_and_empty_arrays_left_out() -> None:
    record = {"a": 2**63, "b": [1, 2.5], "c": [], "d": [2**64], "e": 1}
    assert normalize_values(record, nulls=False) == []
    assert record == {"a": float(2**63), "b": [1.0, 2.5], "d": [float(2**64)], "e": 1}
    assert list(map(type, record["b"])) == [float, float]  # type: ignore[call-overload]
    with pytest.raises(InvalidValue):
        normalize_values({"a": None}, nulls=False)


@pytest.mark.parametrize("nulls", [True, False])
@pytest.mark.parametrize("key", ["", "#a", "$a", "chroma:a"])
def test_an_empty_array_does_not_hide_an_invalid_key(key: str, nulls: bool) -> None:
    metadatas = api.check_shape([{"b": [], key: []}], nulls=nulls)
    assert metadatas is not None
    with pytest.raises(InvalidArgument):
        api.check_values(metadatas)
