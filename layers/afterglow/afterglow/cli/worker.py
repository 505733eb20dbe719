"""The program of one worker process. Arguments: its options as JSON, and the descriptor of its control socket."""

import json
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

from afterglow.cli.console import error_boundary
from afterglow.cli.options import load_settings
from afterglow.server import interpreter, logs
from afterglow.settings import System


def main() -> None:
    """Serves until SIGTERM and exits with 0; on failure writes one line and exits with 1 or 2."""
    worker_options = json.loads(sys.argv[1])
    control = socket.socket(fileno=int(sys.argv[2]))
    control.set_inheritable(False)
    # Ctrl-C reaches the whole process group; the supervisor then sends SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interpreter.before_imports()
    path = None if worker_options["path"] is None else Path(worker_options["path"])
    settings = replace(
        load_settings(aws=path is None),
        log_level=worker_options["log_level"],
        log_format=worker_options["log_format"],
    )
    with error_boundary():
        logs.configure(settings.log_level, settings.log_format)
        from afterglow.server.serve import serve

        serve(
            path,
            settings,
            System(),
            allow_reset=worker_options["allow_reset"],
            control=control,
        )


if __name__ == "__main__":
    main()
