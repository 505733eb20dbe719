"""The settings file: ours is TOML with the names of the settings; a YAML file is Chroma's.

::

    # afterglow.toml
    path = "/srv/vectors"
    auth = "keys"
    cors_allow_origins = ["https://example.org"]

An unknown name in our file is an error: a misspelt `auth` must not leave a server open. In Chroma's file it is a
message, as that file was written for another server.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from afterglow.settings import chroma
from afterglow.settings.values import TYPES, Value, check, nearest_setting

_YAML = frozenset({".yaml", ".yml"})


def read(path: str) -> tuple[dict[str, Value], list[str]]:
    """The settings of the file, and messages about what is ignored in it. Raises ValueError, which names the file."""
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8") from None
    if Path(path).suffix.lower() in _YAML:
        return chroma.keys(_parse(path, text, _load_yaml), path)
    return _settings(_parse(path, text, tomllib.loads), path), []


def _parse(path: str, text: str, load: Callable[[str], object]) -> Mapping[object, object]:
    try:
        content = load(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected names with values, got {type(content).__name__}")
    return content


def _settings(content: Mapping[object, object], path: str) -> dict[str, Value]:
    found = {}
    for key, value in content.items():
        name = str(key)
        if name not in TYPES:
            near = nearest_setting(name)
            raise ValueError(f"{path}: {name} is not a setting" + (f"; did you mean {near}?" if near else ""))
        found[name] = Value(check(f"{path}: {name}", value, TYPES[name]), path)
    return found


def _load_yaml(text: str) -> object:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ValueError("a YAML file requires PyYAML: pip install 'afterglow-db[yaml]'") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
