"""A cross-encoder: how well documents answer a query, read together.

The model reads the query and a document as one text of at most 512 tokens, of which the longer of the two loses its
end, and answers with one number, greater for a better match (Nogueira & Cho 2019). Those are the scores of
sentence-transformers' `CrossEncoder` without an activation, for the same files.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afterglow.embedding.embedder import Embedded, Vectors
from afterglow.embedding.onnx_session import OnnxSession

MAX_TOKENS = 512


class CrossEncoder:
    """A model folder, loaded. Safe for several threads at once."""

    dimension = 1

    def __init__(self, folder: Path, threads: int) -> None:
        """`threads` computes one batch.

        Raises ValueError for a model that is no cross-encoder, OSError or an error of the libraries for unusable files.
        """
        self._session = OnnxSession(folder, threads, MAX_TOKENS, _scores)
        self.score("a query", ["a document"])

    def score(self, query: str, documents: Sequence[str]) -> Embedded:
        """The scores of the documents, as vectors of one component."""
        return self._session.run([(query, document) for document in documents])


def _scores(output: NDArray[np.float32], _mask: NDArray[np.int64]) -> Vectors:
    if output.shape[1:] not in {(), (1,)}:
        shape = "×".join(map(str, output.shape[1:]))
        raise ValueError(f"a cross-encoder answers with one number for a pair of texts, this model with {shape}")
    return np.asarray(output, dtype=np.float32).reshape(-1, 1)
