"""Ids, texts and embeddings of one row; metadata is in `tests.records`."""

from typing import Any

import numpy as np
import pytest

from afterglow.bulk import row_values
from afterglow.bulk.row_values import RowError
from afterglow.records.ids import MAX_ID_BYTES


def test_ids() -> None:
    assert [row_values.identifier("a"), row_values.identifier(7)] == ["a", "7"]
    for value in ("", 1.5, True, None):
        with pytest.raises(RowError, match="the id is"):
            row_values.identifier(value)


def test_texts() -> None:
    assert [row_values.optional_text(None, "uri"), row_values.optional_text("", "uri")] == [None, ""]
    with pytest.raises(RowError, match="the uri is not a string: 5"):
        row_values.optional_text(5, "uri")


@pytest.mark.parametrize("value", [[1, 2.5], "[1, 2.5]", "AACAPwAAIEA="])
def test_the_forms_of_an_embedding(value: Any) -> None:
    assert row_values.encode_embedding(value, 2) == np.array([1, 2.5], dtype="<f4").tobytes()
    assert row_values.embedding_dimension(value) == 2


@pytest.mark.parametrize("value", [None, 5, "!", "[1", {"a": 1}])
def test_values_that_are_no_embedding(value: Any) -> None:
    assert row_values.embedding_dimension(value) is None
    with pytest.raises(RowError):
        row_values.encode_embedding(value, 2)


def test_null_and_empty_lists_are_left_out() -> None:
    assert row_values.metadata({"a": None, "b": [], "c": 1}) == {"c": 1}
    assert row_values.metadata({"a": None}) is None
    assert row_values.metadata({}) is None


def test_an_id_that_could_not_be_erased_is_rejected() -> None:
    assert row_values.identifier("x" * MAX_ID_BYTES)
    with pytest.raises(RowError, match=f"the id has more than {MAX_ID_BYTES} bytes"):
        row_values.identifier("x" * (MAX_ID_BYTES + 1))
