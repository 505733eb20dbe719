"""The effective settings, from four sources; the first that has a value decides.

1. The variable of the setting: `AFTERGLOW_FLUSH_OPS` for `flush_ops`.
2. Chroma's variables (`settings.chroma`).
3. The settings file that `AFTERGLOW_CONFIG` names (`settings.files`).
4. The defaults.

Options of a command come before all of them; the command applies them itself. Child processes inherit the environment
and so resolve the same settings.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from afterglow.settings import chroma
from afterglow.settings.defaults import LOCAL_DEFAULTS
from afterglow.settings.model import PREFIX, Index, Settings
from afterglow.settings.values import TYPES, Value, nearest_setting, parse

CONFIG_VARIABLE = PREFIX + "CONFIG"
MAX_PORT = 65_535
MAX_WORKERS = 64
_PATHS = ("path", "embedding_model_dir", "reranker_model_dir", "cache_dir", "auth_file")
_TEST_PREFIXES = tuple(PREFIX + kind for kind in ("BENCH_", "TEST_", "CONCURRENCY_", "CRASH_"))


@dataclass(frozen=True, slots=True)
class Resolved:
    """The effective settings.

    `sources` has the variable or the file behind each setting that does not have its default; `messages` are about
    variables and names that are ignored.
    """

    settings: Settings
    sources: dict[str, str]
    messages: list[str]


def from_environment(environ: Mapping[str, str] = os.environ, defaults: Settings = LOCAL_DEFAULTS) -> Settings:
    """Override `defaults` by the settings file and by the variables in `environ`.

    Raises ValueError naming a variable, or a file and a name in it, with an invalid value.
    """
    return resolve(environ, defaults).settings


def resolve(environ: Mapping[str, str] = os.environ, defaults: Settings = LOCAL_DEFAULTS) -> Resolved:
    """The same as `from_environment`, with the source of each value and messages about what is ignored."""
    found: dict[str, Value] = {}
    messages = _unknown_variables(environ)
    if path := environ.get(CONFIG_VARIABLE):
        from afterglow.settings import files  # its parsers are needed only if there is a file

        found, ignored = files.read(path)
        messages += ignored
    found |= chroma.variables(environ)
    for name, value_type in TYPES.items():
        variable = PREFIX + name.upper()
        if variable in environ and not (name == "port" and chroma.is_kubernetes_port(environ[variable])):
            found[name] = Value(parse(variable, environ[variable], value_type), variable)
    settings = replace(defaults, **{name: value.value for name, value in found.items()})  # type: ignore[arg-type]
    settings = _expand_paths(_check(settings, found), found)
    return Resolved(settings, {name: value.source for name, value in found.items()}, messages)


def use_settings_file(path: Path) -> None:
    """Make `path` the settings file of this process and of the child processes it starts."""
    os.environ[CONFIG_VARIABLE] = str(path.absolute())


def _refuse(value: Value, name: str, allowed: str) -> NoReturn:
    label = value.source if value.source == value.source.upper() else f"{value.source}: {name}"
    raise ValueError(f"{label} must be {allowed}, got {value.value!r}")


def _expand_paths(settings: Settings, found: Mapping[str, Value]) -> Settings:
    """Replace `~` and `~user` in paths by home directories. Raises ValueError if there is none.

    The default folder of the embedding model stays as it is: without a home directory another one takes its place.
    """
    expanded = {}
    for name in _PATHS:
        if name in found and str(found[name].value).startswith("~") and found[name].value != getattr(Settings(), name):
            try:
                expanded[name] = str(Path(str(found[name].value)).expanduser())
            except RuntimeError:
                _refuse(found[name], name, "a path, and its ~ a user with a home directory")
    return replace(settings, **expanded)  # type: ignore[arg-type]


def _check(settings: Settings, found: Mapping[str, Value]) -> Settings:
    """The settings. Raises ValueError if a value is not among those that its setting allows."""

    def refuse(name: str, allowed: str) -> NoReturn:
        _refuse(found[name], name, allowed)

    settings.cors_origins()
    if settings.index not in set(Index):
        refuse("index", f"one of {', '.join(Index)}")
    if not 0 < settings.recall_target <= 1:
        refuse("recall_target", "above 0 and at most 1")
    if not 0 <= settings.recall_sample <= 1:
        refuse("recall_sample", "from 0 to 1")
    if settings.port > MAX_PORT:
        refuse("port", f"at most {MAX_PORT}")
    if not 1 <= settings.workers <= MAX_WORKERS:
        refuse("workers", f"from 1 to {MAX_WORKERS}")
    return settings


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """A message for each variable with the prefix that names no setting, with the nearest setting if one is near."""
    known = [CONFIG_VARIABLE, *(PREFIX + name.upper() for name in TYPES)]
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    unknown = [name for name in unknown if not name.startswith(_TEST_PREFIXES)]
    messages = []
    for name in unknown:
        near = nearest_setting(name.removeprefix(PREFIX))
        messages.append(f"{name} is not a setting" + (f"; did you mean {PREFIX}{near.upper()}?" if near else ""))
    return messages
