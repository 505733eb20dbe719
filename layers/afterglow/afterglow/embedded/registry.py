"""The engines that the embedded clients of this process have open: one engine and one app for each data directory.

The ephemeral engine works on a temporary directory, which is removed when the engine is closed; there is at most one,
as in chromadb. Whatever is open when the interpreter exits is closed then.
"""

import atexit
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from afterglow.api.app import create_app
from afterglow.api.http.handler import AppContext
from afterglow.deployment.local import open_local
from afterglow.embedded.transport import AppRunner
from afterglow.jobs.start import start_engine
from afterglow.settings import System, from_environment
from afterglow.temporary import Purpose, TemporaryFolder

EPHEMERAL = "ephemeral"
_MAX_BODY_BYTES = 1 << 30
"""A server limits requests to protect itself from its callers; in one process the limits only catch mistakes."""
_UNLIMITED: dict[str, Any] = {
    "max_query_vectors": 2**31,
    "max_filter_conditions": 2**31,
    "max_filter_values": 2**31,
    "max_read_seconds": 3600.0,
    "max_result_bytes": 0,
}


@dataclass(slots=True)
class SharedEngine:
    """An open engine with its app, and the number of clients that use it."""

    name: str
    allow_reset: bool
    runner: AppRunner
    context: AppContext
    close: Callable[[], None]
    clients: int = field(default=0)


_open: dict[str, SharedEngine] = {}
_lock = threading.Lock()


def acquire(path: Path | None, *, allow_reset: bool) -> SharedEngine:
    """The engine of this directory, or the ephemeral one (None); opened if it is not open. To be released.

    Raises ValueError if it is open with another `allow_reset`, and what opening a directory raises.
    """
    try:
        name = EPHEMERAL if path is None else str(path.expanduser().resolve())
    except RuntimeError:
        raise ValueError(f"{path}: there is no such home directory") from None
    with _lock:
        shared = _open.get(name)
        if shared is None:
            shared = _open[name] = _open_engine(name, path, allow_reset=allow_reset)
        elif shared.allow_reset != allow_reset:
            raise ValueError(f"An instance of Chroma already exists for {name} with different settings")
        shared.clients += 1
        return shared


def release(shared: SharedEngine) -> None:
    """Removes one client of the engine; the last one closes it."""
    with _lock:
        shared.clients -= 1
        if shared.clients == 0 and _open.get(shared.name) is shared:
            del _open[shared.name]
            shared.close()


def _open_engine(name: str, path: Path | None, *, allow_reset: bool) -> SharedEngine:
    temporary = TemporaryFolder(Purpose.EPHEMERAL) if path is None else None
    directory = Path(name) if temporary is None else temporary.path
    settings = replace(from_environment(), auth="off", max_body_bytes=_MAX_BODY_BYTES, **_UNLIMITED)
    system = System()
    engine = start_engine(open_local(directory, system), settings, system)
    runner = AppRunner(create_app(engine, settings, system, allow_reset=allow_reset))

    def close() -> None:
        runner.close()
        engine.close()
        if temporary is not None:
            temporary.close()

    context = AppContext(engine, settings, system, allow_reset, os.cpu_count() or 1)
    return SharedEngine(name, allow_reset, runner, context, close)


def _close_all() -> None:
    with _lock:
        for shared in _open.values():
            shared.close()
        _open.clear()


def _reset_after_fork() -> None:
    """Forgets the parent's engines in a forked child: their threads and SQLite connections belong to the parent."""
    global _lock  # noqa: PLW0603 - another thread may have held it when the process was forked
    _lock = threading.Lock()
    _open.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_reset_after_fork)
