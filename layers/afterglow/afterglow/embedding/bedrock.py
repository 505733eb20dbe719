"""Models of Amazon Bedrock: Titan, one text a request, and Cohere, 96 texts a request.

Region, credentials and endpoint come from the standard AWS sources, in a function from its role; a collection's
configuration may name another region. botocore is an extra (`afterglow-db[aws]`) and is imported by the first text.

::

    amazon.titan-…    {"inputText"}              {"embedding", "inputTextTokenCount"}
    cohere.embed-…    {"texts", "input_type"}    {"embeddings": […]}
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import orjson

from afterglow.embedding.aws_client import AwsClient
from afterglow.embedding.embedder import Embedded, Purpose, Vectors
from afterglow.errors import Busy, InvalidArgument, Unavailable
from afterglow.settings import System

_CONCURRENT_REQUESTS = 8
_COHERE_TEXTS = 96
_THROTTLED = frozenset({"ThrottlingException", "TooManyRequestsException", "ServiceQuotaExceededException"})
_REFUSED = frozenset({"ValidationException"})


class BedrockEmbedder:
    """One model. Raises InvalidArgument for a model that is none of the two families, or without botocore."""

    def __init__(self, model: str, region: str | None, system: System) -> None:
        if find_spec("botocore") is None:
            raise InvalidArgument("this server cannot call Amazon Bedrock: pip install 'afterglow-db[aws]'")
        self._is_cohere = "cohere.embed" in model
        if not self._is_cohere and "amazon.titan-embed" not in model:
            raise InvalidArgument(
                f"this server runs the models amazon.titan-embed… and cohere.embed… of amazon_bedrock, not {model!r}"
            )
        self._model, self._system = model, system
        self._aws = AwsClient("bedrock-runtime", "Amazon Bedrock", _CONCURRENT_REQUESTS, region=region)

    def embed(self, texts: Sequence[str], _purpose: Purpose, deadline: float, /) -> Embedded:
        """The vectors of the texts. Raises InvalidArgument, Busy, Unavailable."""
        client, pool = self._aws.open()
        size = _COHERE_TEXTS if self._is_cohere else 1
        slices = [list(texts[start : start + size]) for start in range(0, len(texts), size)]
        futures = [pool.submit(self._invoke, client, part) for part in slices]
        try:
            results = [future.result(max(0.0, deadline - self._system.monotonic())) for future in futures]
        except TimeoutError:
            raise Unavailable("Amazon Bedrock did not answer in time: send fewer texts at once") from None
        finally:
            for future in futures:
                future.cancel()
        return Embedded(np.concatenate([vectors for vectors, _ in results]), tokens=sum(used for _, used in results))

    def close(self) -> None:
        """Close threads and connections."""
        self._aws.close()

    def _invoke(self, client: Any, texts: list[str]) -> tuple[Vectors, int]:
        from botocore.exceptions import BotoCoreError, ClientError

        body = (
            {"texts": texts, "input_type": "search_document", "truncate": "END"}
            if self._is_cohere
            else {"inputText": texts[0]}
        )
        try:
            response = client.invoke_model(
                modelId=self._model, body=orjson.dumps(body), accept="application/json", contentType="application/json"
            )
            answer = orjson.loads(response["body"].read())
            rows = answer["embeddings"] if self._is_cohere else [answer["embedding"]]
            with np.errstate(over="ignore"):
                vectors = np.array(rows, dtype=np.float32)
        except ClientError as error:
            raise _translate(dict(error.response.get("Error", {}))) from error
        except BotoCoreError as error:
            raise Unavailable(f"Amazon Bedrock did not answer: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"Amazon Bedrock answered in an unknown form: {error}") from error
        if vectors.ndim != 2 or not vectors.shape[1] or len(vectors) != len(texts):
            raise Unavailable(f"Amazon Bedrock answered with {len(vectors)} vectors for {len(texts)} texts")
        tokens = answer.get("inputTextTokenCount", 0)
        return vectors, tokens if isinstance(tokens, int) else 0


def _translate(error: dict[str, Any]) -> Busy | Unavailable | InvalidArgument:
    code, text = str(error.get("Code", "")), str(error.get("Message", ""))
    if code in _THROTTLED:
        return Busy("Amazon Bedrock limits the rate of requests: retry later", 2.0)
    if code in _REFUSED:
        return InvalidArgument(f"Amazon Bedrock refuses the texts: {text}")
    return Unavailable(f"Amazon Bedrock failed ({code}): {text}", 30.0)
