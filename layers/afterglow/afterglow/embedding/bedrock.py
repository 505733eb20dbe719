"""Models of Amazon Bedrock: Titan, one text a request, and Cohere, 96 texts a request.

Region, credentials and endpoint come from the standard AWS sources, in a function from its role; a collection's
configuration may name another region. botocore is an extra (`afterglow-db[aws]`) and is imported by the first text.

::

    amazon.titan-…    {"inputText"}              {"embedding", "inputTextTokenCount"}
    cohere.embed-…    {"texts", "input_type"}    {"embeddings": […]}
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np
import orjson

from afterglow.embedding.embedder import Embedded, Purpose, Vectors
from afterglow.errors import Busy, InvalidArgument, Unavailable
from afterglow.settings import System

_CONCURRENT_REQUESTS = 8
_COHERE_TEXTS = 96
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 2.0, 20.0, 3
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
        self._model, self._region, self._system = model, region, system
        self._lock = threading.Lock()
        self._client: Any = None
        self._pool: ThreadPoolExecutor | None = None

    def embed(self, texts: Sequence[str], _purpose: Purpose, deadline: float, /) -> Embedded:
        """The vectors of the texts. Raises InvalidArgument, Busy, Unavailable."""
        client, pool = self._open()
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
        with self._lock:
            client, self._client = self._client, None
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        if client is not None:
            client.close()

    def _open(self) -> tuple[Any, ThreadPoolExecutor]:
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        with self._lock:
            if self._client is None or self._pool is None:
                config = Config(
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_READ_SECONDS,
                    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                    max_pool_connections=_CONCURRENT_REQUESTS,
                )
                try:
                    self._client = botocore.session.get_session().create_client(
                        "bedrock-runtime", region_name=self._region, config=config
                    )
                except BotoCoreError as error:
                    raise Unavailable(f"Amazon Bedrock cannot be called: {error}", 60) from error
                self._pool = ThreadPoolExecutor(_CONCURRENT_REQUESTS, thread_name_prefix="bedrock")
            return self._client, self._pool

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
