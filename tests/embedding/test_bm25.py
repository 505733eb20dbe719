"""Vectors of words equal Chroma's, bit by bit."""

from typing import Any

import mmh3
import pytest
from chromadb.utils.embedding_functions import ChromaBm25EmbeddingFunction
from hypothesis import given
from hypothesis import strategies as st

from afterglow.embedding.bm25 import Bm25
from afterglow.embedding.murmur3 import murmur3_32
from afterglow.errors import InvalidArgument

_TEXT = "running runs ran Dogs don't the naïve İstanbul ΣΊΣΥΦΟΣ under_score x86-64 日本語 _ a1 ﬁne \u0301 ß"
WORDS = st.sampled_from(_TEXT.split(" "))
TEXTS = st.one_of(st.text(), st.lists(st.one_of(WORDS, st.text(max_size=45))).map(" ".join))
CONFIGS: tuple[dict[str, Any], ...] = (
    {},
    {"include_tokens": True},
    {"k": 2, "b": 0.1, "avg_doc_length": 3.5, "token_max_length": 5, "stopwords": ["Run", "dogs"]},
    {"stopwords": [], "b": 0},
)


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS)
@given(text=TEXTS)
def test_a_vector_is_that_of_chroma(config: dict[str, Any], text: str) -> None:
    expected = ChromaBm25EmbeddingFunction.build_from_config(config)([text])[0].to_dict()
    assert Bm25(config).encode(text) == expected


@given(st.binary(max_size=50))
def test_the_hash_is_murmur3(data: bytes) -> None:
    assert murmur3_32(data) == mmh3.hash(data)


@pytest.mark.parametrize("config", [{"k": "x"}, {"b": -1}, {"avg_doc_length": 0}, {"stopwords": "the"}, {"k": True}])
def test_an_invalid_configuration_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        Bm25(config)
