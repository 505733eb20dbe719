"""The port of an embedding model."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Purpose(StrEnum):
    """What texts are embedded for. Queries are few and someone waits for them, so they precede documents."""

    DOCUMENT = "document"
    QUERY = "query"


class ModelKind(StrEnum):
    """What a local model makes: the vector of a text, or a score of a query with a text, as a vector of one number."""

    ENCODER = "encoder"
    CROSS_ENCODER = "cross-encoder"


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors, float32 (n, dimension), in the order of the texts.

    `truncated` counts texts longer than the model reads; `tokens` is what a remote service reports, 0 if nothing.
    """

    vectors: Vectors
    truncated: int = 0
    tokens: int = 0


class Embedder(Protocol):
    """A model. Safe for any number of threads."""

    def embed(self, texts: Sequence[str], purpose: Purpose, deadline: float, /) -> Embedded:
        """The vectors of at least one text, by `deadline` on the monotonic clock.

        Raises InvalidArgument for texts that the model refuses, Busy, Unavailable.
        """

    def close(self) -> None:
        """Release processes and connections; running calls raise Unavailable."""
