"""Texts of vectors as programs print them."""

import pytest

from afterglow.bulk.row_values import RowError, embedding_dimension, encode_embedding
from afterglow.bulk.vector_text import parse_numbers

TEXTS = [
    "[1 2.5]",  # numpy
    "[ 1.   2.5\n ]",
    "array([1. , 2.5], dtype=float32)",
    "np.array([1, 2.5])",
    "tensor([1.0000, 2.5000], device='cuda:0')",
    "[np.float32(1.0), np.float32(2.5)]",
    "(1, 2.5)",
    "(1, 2.5,)",
    "{1,2.5}",  # PostgreSQL
    "1,2.5",
    "1 2.5",
    "1;2.5",
    " 1.0 , 2.5 ",
]


@pytest.mark.parametrize("text", TEXTS)
def test_numbers(text: str) -> None:
    assert parse_numbers(text) == [1, 2.5]
    assert embedding_dimension(text) == 2
    assert encode_embedding(text, 2) == encode_embedding([1, 2.5], 2)


@pytest.mark.parametrize("text", ["", "1", "[", "[a b]", "['1' '2']", "1,,2", "a 1", "array([1, 2", "[[1, 2]]", "{}"])
def test_other_texts_are_none(text: str) -> None:
    assert parse_numbers(text) is None


def test_base64_of_digits_is_no_number() -> None:
    assert embedding_dimension("AACAPwAAIEA=") == 2
    assert encode_embedding("AACAPwAAIEA=", 2) == encode_embedding([1, 2.5], 2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[0.1 0.2 ... 0.9]", "abbreviated text of numpy"),
        ("array([0.1, ..., 0.9])", "abbreviated text of numpy"),
        ("some words", "neither a list nor base64: 'some words'"),
        ("1,2,3", "has 3 dimensions, the collection has 2"),
    ],
)
def test_reasons(text: str, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        encode_embedding(text, 2)
