"""What a stored embedding function may make clients do.

Clients build a collection's embedding function from the configuration that the server stores, so whoever may create a
collection chooses what runs in every client that opens it (CVE-2026-45829, CVE-2026-45833). Therefore a configuration
is refused that makes a client

* **run code**: `trust_remote_code` at any depth, of any function: the model's repository brings Python code;
* **read files by a path**: `sentence_transformer`, `instructor`, `text2vec` and `open_clip` load a model or its
  checkpoint, `bm25` and `fastembed_sparse` a model or a cache folder, and several pass `kwargs` on to their library;
* **send texts to a URL**: `openai`, `morph`, `baseten`, `roboflow`, `ollama`, `huggingface_server`, and
  `amazon_bedrock` by its `kwargs`; also the key from the environment variable that the configuration names. The
  client's own machine and the providers' own hosts (`PROVIDERS`) are allowed.

The last two rules hold for the functions that the clients bring (`CLIENT_FUNCTIONS`). A client only builds another one
if its program registered it, and then its configuration has the meaning that the program gives it.

A model's name with one slash (`sentence-transformers/all-MiniLM-L6-v2`) is a repository, not a path.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from afterglow.errors import InvalidArgument

CLIENT_FUNCTIONS = frozenset(
    {
        "amazon_bedrock",
        "baseten",
        "bm25",
        "chroma-cloud-qwen",
        "chroma-cloud-splade",
        "chroma_bm25",
        "chroma_langchain",
        "cloudflare_workers_ai",
        "cohere",
        "default",
        "fastembed_sparse",
        "google_gemini",
        "google_genai",
        "google_generative_ai",
        "google_palm",
        "google_vertex",
        "huggingface",
        "huggingface_server",
        "huggingface_sparse",
        "instructor",
        "jina",
        "mistral",
        "morph",
        "nomic",
        "ollama",
        "onnx_mini_lm_l6_v2",
        "open_clip",
        "openai",
        "perplexity",
        "roboflow",
        "sentence_transformer",
        "text2vec",
        "together_ai",
        "transformers",
        "voyageai",
    }
)
PROVIDERS = ("api.openai.com", ".openai.azure.com", "api.morphllm.com", ".roboflow.com")
"""Hosts of the clients' providers, where nobody else can read a request; with a leading dot, all hosts of a domain."""

_CODE = "trust_remote_code"
_TEXT_KEYS = frozenset({"instruction", "instructions", "prompts", "stopwords"})
_URL_KEY = re.compile(r"(^|_)(url|uri|base|endpoint|host|proxy|proxies)$")
_PATH_KEY = re.compile(r"(^|_)(path|dir|directory|folder|file|filename|checkpoint)$")
_HOST_PART_KEYS = frozenset({"region", "location", "project", "project_id", "account_id", "gateway_id"})
_HOST_PART = re.compile(r"[A-Za-z0-9_.:-]*")
_CHECKPOINT = re.compile(r"[A-Za-z0-9_-]+")
"""The name of a published checkpoint, as opposed to a file."""
_PATH = re.compile(r"[/~.]|[A-Za-z]:[/\\]|.*\\|(.*/)?\.\.(/|$)|(local-dir|file):|.*/.*/", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class FunctionPolicy:
    """What embedding functions may do: send texts to these `hosts` (`*`: to any), or, `unsafe`, everything."""

    hosts: tuple[str, ...] = ()
    unsafe: bool = False


def check(functions: Iterable[Mapping[str, Any] | None], policy: FunctionPolicy) -> None:
    """Raises InvalidArgument for an embedding function that the policy refuses."""
    for problem in find_problems(functions, policy):
        raise InvalidArgument(
            f"{problem}; every client that opens the collection would do so, so this server does not store it "
            "(AFTERGLOW_EMBEDDING_FUNCTION_HOSTS allows hosts, AFTERGLOW_ALLOW_UNSAFE_EMBEDDING_FUNCTIONS everything)"
        )


def in_schema(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The embedding functions of a stored schema."""
    for value_types in (schema.get("defaults", {}), *schema.get("keys", {}).values()):
        for indexes in value_types.values():
            for index in (indexes or {}).values():
                function = ((index or {}).get("config") or {}).get("embedding_function")
                if function is not None:
                    yield function


def find_problems(functions: Iterable[Mapping[str, Any] | None], policy: FunctionPolicy) -> list[str]:
    """What the policy refuses in some embedding functions, each problem once."""
    problems = (find_problem(function, policy) for function in functions if function is not None)
    return list(dict.fromkeys(problem for problem in problems if problem is not None))


def find_problem(function: Mapping[str, Any], policy: FunctionPolicy) -> str | None:
    """What the policy refuses in an embedding function in the wire's form, None if nothing."""
    if policy.unsafe or function.get("type") != "known":
        return None
    name = function.get("name")
    for path, key, value in _leaves(function.get("config"), "config", ""):
        what = _refused(name in CLIENT_FUNCTIONS, key, value, policy)
        if what is not None:
            return f"embedding function {name!r} {what} ({path})"
    return None


def _refused(is_client_function: bool, key: str, value: Any, policy: FunctionPolicy) -> str | None:
    if key == _CODE:
        return "runs code of its model" if value is not None and value is not False else None
    if not is_client_function or not isinstance(value, str) or not value or key in _TEXT_KEYS:
        return None
    if "://" in value or _URL_KEY.search(key):
        return None if _is_allowed_url(value, policy) else "sends texts to a URL"
    if key == "checkpoint":
        return None if _CHECKPOINT.fullmatch(value) else "reads a file by its path"
    if _PATH_KEY.search(key) or _PATH.match(value):
        return "reads a file by its path"
    if key in _HOST_PART_KEYS and not _HOST_PART.fullmatch(value):
        return "sends texts to a URL"
    return None


def _is_allowed_url(url: str, policy: FunctionPolicy) -> bool:
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return False
    if parts.scheme not in {"", "http", "https"} or "\\" in url or not host:
        return False
    if "*" in policy.hosts or host in policy.hosts or _is_loopback(host):
        return True
    domains = (*PROVIDERS, *policy.hosts)
    is_of_provider = any(host.endswith(name) if name.startswith(".") else host == name for name in domains)
    return is_of_provider and parts.username is None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _leaves(value: Any, path: str, key: str, *, is_text: bool = False) -> Iterator[tuple[str, str, Any]]:
    """Each value that is no container, with its path and the key that it belongs to: an item of a list to the list's.

    A value of `trust_remote_code` is one as a whole; what is below a key of texts belongs to that key.
    """
    if key == _CODE:
        yield path, key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            lower_name = str(name).strip().lower()
            is_part_of_text = (is_text or key in _TEXT_KEYS) and lower_name != _CODE
            yield from _leaves(item, f"{path}.{name}", key if is_part_of_text else lower_name, is_text=is_part_of_text)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]", key, is_text=is_text)
    else:
        yield path, key, value
