"""The local model agrees with Chroma's function over the same files, whatever is batched together."""

from pathlib import Path

import numpy as np
import pytest
from chromadb.utils.embedding_functions.onnx_mini_lm_l6_v2 import ONNXMiniLM_L6_V2
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.embedding.onnx_model import MAX_TOKENS, OnnxModel
from tests.support.onnx_files import DIMENSION, WORDS

TEXTS = st.lists(st.sampled_from([*WORDS[4:], "Émile", "!", "\0", "日本"]), max_size=300).map(" ".join)


@pytest.fixture(scope="module")
def model(model_folder: Path) -> OnnxModel:
    return OnnxModel(model_folder, 1)


@pytest.fixture(scope="module")
def chroma(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ONNXMiniLM_L6_V2:
    folder = tmp_path_factory.mktemp("cache")
    (folder / "onnx").mkdir()
    names = ("config.json", "special_tokens_map.json", "tokenizer_config.json", "vocab.txt")
    for name in names:
        (folder / "onnx" / name).touch()
    for name in ("model.onnx", "tokenizer.json"):
        (folder / "onnx" / name).write_bytes((model_folder / name).read_bytes())
    function = ONNXMiniLM_L6_V2()
    function.DOWNLOAD_PATH = folder
    return function


@settings(max_examples=30)
@given(texts=st.lists(TEXTS, min_size=1, max_size=20))
def test_the_vectors_are_those_of_chroma(model: OnnxModel, chroma: ONNXMiniLM_L6_V2, texts: list[str]) -> None:
    expected = np.array(chroma(texts))
    embedded = model.embed(texts)
    assert embedded.vectors.shape == (len(texts), DIMENSION)
    np.testing.assert_allclose(embedded.vectors, expected, atol=1e-4)


def test_a_text_has_the_same_vector_alone_and_with_longer_ones(model: OnnxModel) -> None:
    texts = ["the red cat", "a " * 200, "", "the blue fish in the sea and its house"]
    together = model.embed(texts).vectors
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(model.embed([text]).vectors[0], vector, atol=1e-6)


def test_a_long_text_is_truncated_and_counted(model: OnnxModel) -> None:
    long = "cat " * 200_000
    embedded = model.embed([long, "cat"])
    assert embedded.truncated == 1
    np.testing.assert_allclose(embedded.vectors[0], model.embed(["cat " * (MAX_TOKENS - 2)]).vectors[0], atol=1e-6)
