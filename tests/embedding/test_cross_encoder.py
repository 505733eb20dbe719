"""The cross-encoder: scores of pairs, whatever they are batched with, and which models are refused."""

from pathlib import Path

import numpy as np
import pytest

from afterglow.embedding.cross_encoder import MAX_TOKENS, CrossEncoder
from tests.support.onnx_files import WORDS, pair_score


def test_a_pair_has_the_same_score_alone_and_with_longer_ones(reranker_folder: Path) -> None:
    model = CrossEncoder(reranker_folder, 1)
    query = "red fish in the sea"
    documents = ["", "red", "the spice", *(" ".join(WORDS[4 + i % 15 : 5 + i % 15 + i % 7]) for i in range(20))]
    scored = model.score(query, documents)
    np.testing.assert_allclose(scored.vectors[:, 0], [pair_score(query, document) for document in documents], atol=1e-3)
    assert (scored.vectors.shape, scored.truncated) == ((23, 1), 0)


def test_the_longer_text_of_a_pair_loses_its_end(reranker_folder: Path) -> None:
    scored = CrossEncoder(reranker_folder, 1).score("cat fish", ["dog " * 600])
    read = MAX_TOKENS - 3 - 2
    assert scored.truncated == 1
    np.testing.assert_allclose(scored.vectors[0, 0], pair_score("cat fish", "dog " * read), rtol=1e-4)


def test_a_sentence_encoder_is_no_cross_encoder(model_folder: Path) -> None:
    with pytest.raises(ValueError, match="one number for a pair of texts"):
        CrossEncoder(model_folder, 1)
