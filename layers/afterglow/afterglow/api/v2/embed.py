"""The handler of the embedding route: texts in, vectors out, in the form of Hugging Face's text-embeddings-inference.

Chroma's clients call such a server by `HuggingFaceEmbeddingServer(url="http://host:8000/embed")`, so they can use the
model of this server, with collections of this server or of any other.
"""

from typing import Any

import orjson

from afterglow.api import models
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.usage_header import add_attributes
from afterglow.api.validation import json_body
from afterglow.metering import phase


def embed(context: AppContext, request: Request) -> Response | Deferred:
    """A vector for each text."""
    inputs = json_body.parse(models.EmbedTexts, request.body).inputs
    texts = [inputs] if isinstance(inputs, str) else inputs
    add_attributes(rows=len(texts))

    def respond() -> Response:
        vectors: Any = context.engine.embed(texts) if texts else []
        with phase("render"):
            return Response(orjson.dumps(vectors, option=orjson.OPT_SERIALIZE_NUMPY))

    return Deferred(respond, embeds=True)
