"""The program of one worker process. Its arguments: what to serve, in JSON, and the number of its socket."""

import json
import signal
import socket
import sys
from pathlib import Path

from afterglow.cli.failures import error_boundary, settings
from afterglow.server import interpreter, logs
from afterglow.settings import System


def main() -> None:
    """Serves until told to stop; exits with 0 then, and with 1 or 2 after one line of explanation."""
    given = json.loads(sys.argv[1])
    control = socket.socket(fileno=int(sys.argv[2]))
    control.set_inheritable(False)
    # Ctrl-C reaches the whole group; the supervisor then sends SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logs.configure()
    interpreter.before_imports()
    with error_boundary():
        from afterglow.server.server import serve

        serve(
            None if given["path"] is None else Path(given["path"]),
            settings(aws=given["path"] is None),
            System(),
            allow_reset=given["allow_reset"],
            control=control,
        )


if __name__ == "__main__":
    main()
