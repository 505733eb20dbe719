"""What the embedded clients of this process have open: for each data directory one engine and one application.

An ephemeral place is a directory for temporary files, which its end removes; there is at most one, as in chromadb.
Whatever is open when the interpreter exits is closed then.
"""

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from afterglow.api.app import create_app
from afterglow.deployment.local import open_local
from afterglow.embedded.transport import AppRunner
from afterglow.jobs.start import start_engine
from afterglow.settings import System, from_environment

EPHEMERAL = "ephemeral"
_LARGEST_BODY = 1 << 30
"""Nothing is sent anywhere, so the limit that protects a server from strangers has no use; this one ends mistakes."""


@dataclass(slots=True)
class SharedEngine:
    """An open place, and how many clients have it."""

    name: str
    allow_reset: bool
    running: AppRunner
    close: Callable[[], None]
    clients: int = field(default=0)


_open: dict[str, SharedEngine] = {}
_lock = threading.Lock()


def acquire(path: Path | None, *, allow_reset: bool) -> SharedEngine:
    """The place of this directory, or (None) the ephemeral one, opened if it is not; to be released.

    Raises ValueError where it is open with another `allow_reset`, and what opening a directory raises.
    """
    name = EPHEMERAL if path is None else str(path.expanduser().resolve())
    with _lock:
        place = _open.get(name)
        if place is None:
            place = _open[name] = _open_engine(name, path, allow_reset=allow_reset)
        elif place.allow_reset != allow_reset:
            raise ValueError(f"An instance of Chroma already exists for {name} with different settings")
        place.clients += 1
        return place


def release(place: SharedEngine) -> None:
    """Let go of a place; the last client closes it."""
    with _lock:
        place.clients -= 1
        if place.clients == 0 and _open.get(place.name) is place:
            del _open[place.name]
            place.close()


def _open_engine(name: str, path: Path | None, *, allow_reset: bool) -> SharedEngine:
    directory = Path(tempfile.mkdtemp(prefix="afterglow-") if path is None else name)
    settings, system = replace(from_environment(), auth="off", max_body_bytes=_LARGEST_BODY), System()
    engine = start_engine(open_local(directory, system), settings, system)
    running = AppRunner(create_app(engine, settings, system, allow_reset=allow_reset))

    def close() -> None:
        running.close()
        engine.close()
        if path is None:
            shutil.rmtree(directory)

    return SharedEngine(name, allow_reset, running, close)


def _close_all() -> None:
    with _lock:
        for place in _open.values():
            place.close()
        _open.clear()


def _reset_after_fork() -> None:
    """In a forked process: what its parent has open is the parent's, threads and connections to SQLite included."""
    global _lock  # noqa: PLW0603 - another thread may have held it when the process was forked
    _lock = threading.Lock()
    _open.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_reset_after_fork)
