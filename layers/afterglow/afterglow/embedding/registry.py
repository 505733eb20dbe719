"""Which embedding functions this server runs: the operator's decision, not that of a stored configuration.

A collection's configuration comes from any client that may create one. It can name a function, a model and a URL; it
cannot name code, a file or a key, and only functions in AFTERGLOW_EMBEDDING_FUNCTIONS and URLs that begin with one of
AFTERGLOW_EMBEDDING_URLS are used. The function in AFTERGLOW_EMBEDDER is the operator's own, so it is allowed as it is.
Keys come from the settings; `api_key_env_var` and the like in a configuration are ignored.

The embedders are imported when one is made: a function without texts, or a cold start before the first, pays nothing.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from afterglow.embedding.embedder import Embedder
from afterglow.embedding.function import EmbeddingFunction, parse_setting
from afterglow.errors import InvalidArgument
from afterglow.settings import Settings, System

if TYPE_CHECKING:
    from afterglow.embedding.remote import Protocol

DEFAULT = "default"
MINI_LM = "onnx_mini_lm_l6_v2"
_OPENAI_URL = "https://api.openai.com/v1"
_COHERE_URL = "https://api.cohere.com"
_OLLAMA_URL = "http://localhost:11434"
_AZURE = "azure"


@dataclass(frozen=True, slots=True)
class _Request:
    """A function that a collection names, and what the server may use to run it."""

    function: EmbeddingFunction
    is_operators: bool
    settings: Settings
    system: System

    def text(self, name: str, default: str | None = None) -> str:
        """A text in the configuration. Raises InvalidArgument."""
        value = self.function.config.get(name, default)
        value = default if value is None else value
        if not isinstance(value, str) or not value:
            raise InvalidArgument(f"the embedding function {self.function.name} needs a {name} in its configuration")
        return value

    def url(self, name: str, default: str, *, trusted: bool = False) -> str:
        """A URL in the configuration; the default needs no permission if it is `trusted`. Raises InvalidArgument."""
        value = self.text(name, default).rstrip("/")
        if self.is_operators or (trusted and value == default) or _is_allowed(value, self.settings.embedding_urls):
            return value
        raise InvalidArgument(
            f"this server does not call {value} for the embedding function {self.function.name}: its operator can "
            f"allow that by AFTERGLOW_EMBEDDING_URLS"
        )

    def remote(self, url: str, key: str, protocol: "Protocol") -> Embedder:
        """An embedder over the service at the URL, with a key if there is one."""
        from afterglow.embedding.http_json import JsonClient
        from afterglow.embedding.remote import RemoteEmbedder

        headers = {"authorization": f"Bearer {key}"} if key else {}
        client = JsonClient(self.function.name, url, headers, self.system)
        return RemoteEmbedder(self.function.name, client, protocol)


class Registry:
    """The functions of one process. Raises InvalidArgument for invalid settings."""

    def __init__(self, settings: Settings, system: System) -> None:
        self._settings = settings
        self._system = system
        self.default = parse_setting(settings.embedder, "AFTERGLOW_EMBEDDER")
        listed = tuple(filter(None, (name.strip() for name in settings.embedding_functions.split(","))))
        unknown = [name for name in (*listed, *([self.default.name] if self.default else [])) if name not in _MAKERS]
        if unknown:
            raise InvalidArgument(
                f"AFTERGLOW_EMBEDDER and AFTERGLOW_EMBEDDING_FUNCTIONS can name {', '.join(_MAKERS)}, got {unknown[0]}"
            )
        self._allowed = frozenset(listed)

    def runs(self, function: EmbeddingFunction) -> bool:
        """Whether the operator allows the function; its configuration may still be refused."""
        return function.name in self._allowed or function == self.default

    def make(self, function: EmbeddingFunction) -> Embedder:
        """The embedder of a function. Raises InvalidArgument."""
        if not self.runs(function):
            raise InvalidArgument(
                f"this server does not run the embedding function {function.name!r} of the collection; it runs "
                f"{self.describe()}. Send embeddings, or ask its operator (AFTERGLOW_EMBEDDING_FUNCTIONS)"
            )
        request = _Request(function, function == self.default, self._settings, self._system)
        return _MAKERS[function.name](request)

    def describe(self) -> str:
        """The functions that the server runs, for messages."""
        names = sorted(self._allowed | ({self.default.name} if self.default else set()))
        return ", ".join(names) or "none"


def shared_key(function: EmbeddingFunction) -> EmbeddingFunction:
    """The same key for functions that share an embedder: the two names of the local model, whatever their options."""
    return EmbeddingFunction(MINI_LM) if function.name in {DEFAULT, MINI_LM} else function


def _local(request: _Request) -> Embedder:
    if request.settings.embedding_lambda:
        from afterglow.embedding.invoked_model import InvokedModel

        return InvokedModel(request.settings.embedding_lambda, request.system)
    from afterglow.embedding.local_model import LocalModel

    return LocalModel(request.settings, request.system)


def _openai(request: _Request) -> Embedder:
    from afterglow.embedding import remote

    config = request.function.config
    if config.get("api_type") == _AZURE or config.get("default_headers"):
        raise InvalidArgument("this server runs the embedding function openai without Azure and without own headers")
    url = request.url("api_base", _OPENAI_URL, trusted=True)
    model, dimensions = request.text("model_name", "text-embedding-ada-002"), config.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise InvalidArgument(f"the embedding function openai has invalid dimensions: {dimensions!r}")
    # The clients send dimensions to models of the third generation alone.
    dimensions = dimensions if "text-embedding-3" in model else None
    return request.remote(f"{url}/embeddings", request.settings.openai_api_key, remote.openai(model, dimensions))


def _ollama(request: _Request) -> Embedder:
    from afterglow.embedding import remote

    url = request.url("url", _OLLAMA_URL).removesuffix("/api/embeddings")
    return request.remote(f"{url}/api/embed", "", remote.ollama(request.text("model_name")))


def _cohere(request: _Request) -> Embedder:
    from afterglow.embedding import remote

    protocol = remote.cohere(request.text("model_name", "large"))
    return request.remote(f"{_COHERE_URL}/v1/embed", request.settings.cohere_api_key, protocol)


def _huggingface_server(request: _Request) -> Embedder:
    from afterglow.embedding import remote

    url = request.url("url", "")
    return request.remote(url, request.settings.huggingface_api_key, remote.huggingface_server())


def _bedrock(request: _Request) -> Embedder:
    from afterglow.embedding.bedrock import BedrockEmbedder

    return BedrockEmbedder(request.text("model_name"), _region(request), request.system)


def _region(request: _Request) -> str | None:
    """The region in the session's arguments; the rest of them, profiles included, is the client's own."""
    arguments = request.function.config.get("session_args")
    region = arguments.get("region_name") if isinstance(arguments, dict) else None
    if region is not None and (not isinstance(region, str) or not re.fullmatch("[a-z]{2}(-[a-z]+)+-[0-9]", region)):
        raise InvalidArgument(f"the embedding function amazon_bedrock has an invalid region_name: {region!r}")
    return region


_MAKERS: dict[str, Callable[[_Request], Embedder]] = {
    DEFAULT: _local,
    MINI_LM: _local,
    "openai": _openai,
    "ollama": _ollama,
    "cohere": _cohere,
    "huggingface_server": _huggingface_server,
    "amazon_bedrock": _bedrock,
}


def _is_allowed(url: str, prefixes: str) -> bool:
    """Whether the URL begins with one of the prefixes: same scheme, host and port, and a path below."""
    return any(map(partial(_begins_with, urlsplit(url)), filter(None, (text.strip() for text in prefixes.split(",")))))


def _begins_with(url: Any, prefix: str) -> bool:
    allowed = urlsplit(prefix)
    path = allowed.path.rstrip("/")
    try:
        same_origin = (url.scheme, url.hostname, url.port) == (allowed.scheme, allowed.hostname, allowed.port)
    except ValueError:
        return False
    return bool(
        same_origin
        and url.scheme in {"http", "https"}
        and not (url.username or url.password or url.query or url.fragment)
        and ".." not in url.path
        and (url.path == path or url.path.startswith(f"{path}/"))
    )
