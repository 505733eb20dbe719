"""The local model in a Lambda function of its own, which the API and the importer invoke and wait for.

onnxruntime does not belong into every function: it takes their layers to the limit, and its start into every cold
start. Texts go in slices of at most 64 and about a megabyte, some at once, each to a container of its own; a request
and a response stay far below the 6 MB that Lambda allows. Of a longer text only the beginning is sent: the model reads
256 tokens. A throttled or failed invocation is repeated up to twice, as embedding has no effects.

::

    {"texts": […]}  →  {"rows": m, "vectors": base64, "truncated": t}  or  {"error": text, "retry_after": seconds}

botocore is imported by the first text.
"""

from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson

from afterglow.deadline import seconds_left
from afterglow.embedding.aws_client import AwsClient
from afterglow.embedding.embedder import Embedded, Purpose, Vectors
from afterglow.errors import Busy, Unavailable
from afterglow.metering import current_usage
from afterglow.settings import System

MAX_CHARACTERS = 100_000
"""What is sent of a text: words of 400 characters on average would be needed to have fewer than 256 tokens in it."""
SLICE_TEXTS, SLICE_CHARACTERS = 64, 1_000_000
_CONCURRENT_INVOCATIONS = 4
_THROTTLED = frozenset({"TooManyRequestsException", "EC2ThrottledException", "ThrottlingException"})


class InvokedModel:
    """The embedder of the function with this name."""

    def __init__(self, function: str, system: System) -> None:
        self._function, self._system = function, system
        self._aws = AwsClient("lambda", "the function of the embedding model", _CONCURRENT_INVOCATIONS)

    def embed(self, texts: Sequence[str], _purpose: Purpose, deadline: float, /) -> Embedded:
        """The vectors of the texts. Raises Busy, Unavailable."""
        client, pool = self._aws.open()
        futures = [pool.submit(self._invoke, client, part) for part in slices(texts)]
        usage = current_usage()
        if usage is not None:
            usage.count("lambda.Invoke", len(futures))
        try:
            results = [future.result(self._left(deadline)) for future in futures]
        except TimeoutError:
            raise Unavailable("the function of the embedding model did not answer in time: send fewer texts") from None
        finally:
            for future in futures:
                future.cancel()
        return Embedded(np.concatenate([vectors for vectors, _ in results]), sum(count for _, count in results))

    def close(self) -> None:
        """Close threads and connections."""
        self._aws.close()

    def _left(self, deadline: float) -> float:
        return seconds_left(max(0.0, deadline - self._system.monotonic()))

    def _invoke(self, client: Any, texts: list[str]) -> tuple[Vectors, int]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            response = client.invoke(FunctionName=self._function, Payload=orjson.dumps({"texts": texts}))
            content = response["Payload"].read()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _THROTTLED:
                raise Busy("the account has no more concurrent executions for the embedding model", 2.0) from error
            raise Unavailable(f"the function of the embedding model cannot be invoked ({code})", 30) from error
        except BotoCoreError as error:
            raise Unavailable(f"the function of the embedding model did not answer: {error}") from error
        if "FunctionError" in response:
            raise Unavailable("the function of the embedding model failed; its log has the reason")
        return _parse(content, len(texts))


def slices(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, a list for each invocation."""
    part: list[str] = []
    characters = 0
    for text in texts:
        sent = text[:MAX_CHARACTERS]
        if part and (len(part) == SLICE_TEXTS or characters + len(sent) > SLICE_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append(sent)
        characters += len(sent)
    yield part


def _parse(content: bytes, texts: int) -> tuple[Vectors, int]:
    try:
        reply = orjson.loads(content)
        if "error" in reply:
            raise Unavailable(str(reply["error"]), float(reply.get("retry_after", 30)))
        matrix = np.frombuffer(b64decode(reply["vectors"]), dtype="<f4").reshape(reply["rows"], -1)
        truncated = int(reply["truncated"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"the function of the embedding model answered in an unknown form: {error}") from None
    if len(matrix) != texts or not matrix.shape[1]:
        raise Unavailable(f"the function of the embedding model answered with {len(matrix)} vectors for {texts} texts")
    return matrix.astype(np.float32), truncated
