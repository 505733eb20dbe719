"""Chroma's own settings: its environment variables and the keys of its YAML file, and the settings they stand for.

A server in Chroma's place must listen where Chroma listened, keep its data where Chroma kept it, and must not be open
where Chroma required a password.
"""

import json
from collections.abc import Mapping

from afterglow.settings.model import PREFIX
from afterglow.settings.values import TYPES, Value, check, parse

_SETTING_OF_KEY = {
    "port": "port",
    "listen_address": "host",
    "persist_path": "path",
    "allow_reset": "allow_reset",
    "max_payload_size_bytes": "max_body_bytes",
    "cors_allow_origins": "cors_allow_origins",
}
_CORS_VARIABLES = ("CHROMA_CORS_ALLOW_ORIGINS", "CHROMA_SERVER_CORS_ALLOW_ORIGINS")
_KUBERNETES_PORT = "tcp://"


def variables(environ: Mapping[str, str]) -> dict[str, Value]:
    """The settings that Chroma's variables in `environ` stand for. Raises ValueError naming an invalid variable."""
    found = {}
    for key, setting in _SETTING_OF_KEY.items():
        name = f"CHROMA_{key.upper()}"
        text = environ.get(name, "").strip()
        if text and setting != "cors_allow_origins" and not is_kubernetes_port(text):
            found[setting] = Value(parse(name, text, TYPES[setting]), name)
    return {**found, **_auth_variables(environ), **_cors_variables(environ), **_service_keys(environ)}


def keys(content: Mapping[object, object], path: str) -> tuple[dict[str, Value], list[str]]:
    """The settings that the keys of Chroma's file stand for, and a message for each key that stands for none.

    Raises ValueError naming a key with an invalid value.
    """
    found, messages = {}, []
    for key, value in content.items():
        setting = _SETTING_OF_KEY.get(str(key))
        if setting is None:
            messages.append(f"{path}: {key} has no counterpart here and is ignored")
        elif value is not None:
            found[setting] = Value(check(f"{path}: {key}", value, TYPES[setting]), path)
    return found, messages


def is_kubernetes_port(text: str) -> bool:
    """Whether the text is what Kubernetes puts into `<NAME>_PORT` for a service of that name, such as `tcp://…:8000`.

    A service named `chroma` or `afterglow` must not configure the server.
    """
    return text.startswith(_KUBERNETES_PORT)


def _auth_variables(environ: Mapping[str, str]) -> dict[str, Value]:
    """Chroma's authentication variables (of 0.4 and 0.5).

    Chroma's variable for the token's header is ignored: both headers are always accepted. Raises ValueError.
    """

    def value(name: str) -> tuple[str, str]:
        current_name, old_name = f"CHROMA_SERVER_AUTHN_{name}", f"CHROMA_SERVER_AUTH_{name}"
        used = old_name if environ.get(old_name) and not environ.get(current_name) else current_name
        return used, environ.get(used, "")

    name, provider = value("PROVIDER")
    if not provider or PREFIX + "AUTH" in environ:
        return {}
    class_name = provider.rpartition(".")[2]
    if class_name.startswith("Basic"):
        source, file = value("CREDENTIALS_FILE")
        if not file:
            raise ValueError(f"{name} selects password authentication, but {source} is not set")
        return {"auth": Value("htpasswd", name), "auth_file": Value(file, source)}
    if class_name.startswith("Token"):
        source, token = value("CREDENTIALS")
        if not token:
            raise ValueError(f"{name} selects token authentication, but {source} is not set")
        return {"auth": Value("token", name), "auth_token": Value(token, source)}
    raise ValueError(f"{name} must name a Basic or a Token provider, got {provider!r}; or set AFTERGLOW_AUTH")


def _cors_variables(environ: Mapping[str, str]) -> dict[str, Value]:
    """Chroma's variables for origins, the current one and that before 1.0: a JSON list, or a comma list.

    Raises ValueError.
    """
    if PREFIX + "CORS_ALLOW_ORIGINS" in environ:
        return {}
    for name in _CORS_VARIABLES:
        text = environ.get(name, "").strip()
        if text.startswith("["):
            try:
                origins = json.loads(text)
            except ValueError:
                origins = None
            if not isinstance(origins, list) or not all(isinstance(origin, str) for origin in origins):
                raise ValueError(f"{name} must be a JSON list of strings, or a comma list, got {text!r}")
            text = ",".join(origins)
        if text:
            return {"cors_allow_origins": Value(text, name)}
    return {}


def _service_keys(environ: Mapping[str, str]) -> dict[str, Value]:
    """The keys of embedding services in the variables that Chroma's clients read."""
    found: dict[str, Value] = {}
    for service in ("openai", "cohere", "huggingface"):
        for name in (f"{service.upper()}_API_KEY", f"CHROMA_{service.upper()}_API_KEY"):
            if environ.get(name):
                found.setdefault(f"{service}_api_key", Value(environ[name], name))
    return found
