"""A sentence encoder: the vectors of texts.

The same vectors as Chroma's `ONNXMiniLM_L6_V2` within 1e-4, for the same files: at most 256 tokens, the mean of the
token vectors under the attention mask, unit length. Chroma pads every text to 256 tokens; here a batch is padded to its
longest text: 3 ms for a short query instead of 73.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afterglow.embedding.embedder import Embedded, Vectors
from afterglow.embedding.onnx_session import OnnxSession

MAX_TOKENS = 256


class OnnxModel:
    """A model folder, loaded. Safe for several threads at once."""

    def __init__(self, folder: Path, threads: int) -> None:
        """`threads` computes one batch. Raises OSError or an error of the two libraries for unusable files."""
        self._session = OnnxSession(folder, threads, MAX_TOKENS, _vectors)
        self.dimension = int(self.embed(["dimension"]).vectors.shape[1])

    def embed(self, texts: Sequence[str]) -> Embedded:
        """The unit vectors of the texts."""
        return self._session.run(texts)


def _vectors(output: NDArray[np.float32], mask: NDArray[np.int64]) -> Vectors:
    return _unit(_mean(output, mask) if output.ndim == 3 else output)


def _mean(states: NDArray[np.float32], mask: NDArray[np.int64]) -> NDArray[np.float32]:
    """The mean (n, d) of token vectors (n, tokens, d) under the mask (n, tokens)."""
    weights = mask.astype(np.float32)
    sums = np.einsum("ntd,nt->nd", states, weights)
    means: NDArray[np.float32] = sums / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return means


def _unit(vectors: NDArray[np.float32]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1e-12
    return np.asarray(vectors / lengths, dtype=np.float32)
