"""`afterglow run`: checks what can be wrong before anything is started, then serves, with one process or several."""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

from afterglow import __version__
from afterglow.cli.failures import exit_with, settings
from afterglow.cli.lines import echo
from afterglow.server import interpreter, logs, sockets
from afterglow.settings import System


def run(path: Path | None, host: str, port: int, *, workers: int, allow_reset: bool) -> None:
    """Serves a directory, or an AWS account (None), until told to stop.

    Exits with 2 for bad settings, 1 for an address or directory that cannot be used.
    """
    given = settings(aws=path is None)
    allow_reset = allow_reset or given.allow_reset
    path = None if path is None else usable_directory(path)
    listeners = sockets.listen(host, port)
    interpreter.before_imports()
    logs.configure()
    place = path or f"table {given.table} and bucket {given.bucket}"
    announce = partial(_announce, sockets.url(host, listeners), place, workers)
    # Held while the imports below take their time.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    if workers == 1:
        from afterglow.server.server import serve

        system = System()
        serve(path, given, system, allow_reset=allow_reset, listeners=listeners, on_ready=announce)
    else:
        from afterglow.server.supervisor import Supervisor

        what = {"path": None if path is None else str(path), "allow_reset": allow_reset}
        code = Supervisor(
            listeners,
            [sys.executable, "-m", "afterglow.cli.worker", json.dumps(what)],
            workers,
            shutdown_seconds=given.shutdown_seconds,
            on_ready=announce,
        ).run()
        sys.exit(code)


def usable_directory(path: Path) -> Path:
    """`path` made absolute, and made if it was not there. Exits with 1 if it cannot hold data."""
    path = path.expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        exit_with(f"{path}: not a directory")
    except OSError as error:
        exit_with(f"{path}: cannot be made: {(error.strerror or str(error)).lower()}")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        exit_with(f"{path}: no permission to read and write there")
    return path


def _announce(url: str, place: Path | str, workers: int) -> None:
    processes = "" if workers == 1 else f", {workers} workers"
    line = f"afterglow {__version__} serves the Chroma API on {url}, data in {place}, pid {os.getpid()}{processes}"
    echo(line)
