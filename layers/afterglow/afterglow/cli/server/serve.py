"""One serving process: opens the directory, serves it until told to stop, closes it."""

import socket
from collections.abc import Callable
from pathlib import Path

from afterglow.api.app import create_app
from afterglow.cli.server.server import serve_app
from afterglow.imports.watch import Watcher
from afterglow.jobs import open as opening
from afterglow.settings import Ambient, Settings


def serve(
    path: Path | None,
    settings: Settings,
    ambient: Ambient,
    *,
    allow_reset: bool,
    listeners: list[socket.socket] | None = None,
    control: socket.socket | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serves the directory at `path`, or an AWS account (None); the rest is `serve_app`'s.

    Raises what opening them raises.
    """
    engine = opening.serve(opening.open_place(path, settings, ambient), settings, ambient)
    watcher = None if path is None else Watcher(path, engine)
    if watcher is not None:
        watcher.start()
    try:
        app = create_app(engine, settings, ambient, allow_reset=allow_reset, metered=path is None)
        serve_app(app, settings, ambient, listeners=listeners, control=control, on_ready=on_ready)
    finally:
        if watcher is not None:
            watcher.close()
        engine.close()
