"""One write of the advertised size fits into a body, at every dimension that models use."""

import uuid

import numpy as np
import orjson
import pytest
from chromadb.api.types import optional_embeddings_to_base64_strings

from afterglow.settings import LAMBDA_DEFAULTS, Settings

SETTINGS = Settings()
TEXT = "x" * 1_900


def record_bytes(dimension: int, *, base64: bool, text: str = TEXT) -> int:
    """The bytes that one record adds to a client's body."""

    def body(count: int) -> bytes:
        vectors = list(np.random.default_rng(1).normal(size=(count, dimension)).astype(np.float32))
        return orjson.dumps(
            {
                "ids": [str(uuid.UUID(int=2**127 + number)) for number in range(count)],
                "embeddings": optional_embeddings_to_base64_strings(vectors)
                if base64
                else [vector.tolist() for vector in vectors],
                "documents": [text] * count,
                "metadatas": [{"source": "a" * 40, "page": 7}] * count,
                "uris": None,
            }
        )

    return (len(body(11)) - len(body(1))) // 10


@pytest.mark.parametrize("dimension", [384, 768, 1_024, 1_536, 3_072, 4_096])
def test_a_batch_in_base64_fits(dimension: int) -> None:
    assert SETTINGS.max_batch_size * record_bytes(dimension, base64=True) < SETTINGS.max_body_bytes


@pytest.mark.parametrize("dimension", [384, 768, 1_024])
def test_a_batch_of_json_numbers_fits(dimension: int) -> None:
    assert SETTINGS.max_batch_size * record_bytes(dimension, base64=False) < SETTINGS.max_body_bytes


def test_a_batch_fits_into_a_function() -> None:
    size = LAMBDA_DEFAULTS.max_batch_size * record_bytes(3_072, base64=True, text="x" * 1_000)
    assert size < LAMBDA_DEFAULTS.max_body_bytes


def test_the_budget_of_bodies_holds_two_of_the_largest() -> None:
    assert SETTINGS.max_inflight_body_bytes >= 2 * SETTINGS.max_body_bytes
