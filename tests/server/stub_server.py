"""Runs the stub app: `stub_server.py WORKERS` prints its port, then serves; 0 workers is one process, no supervisor."""

import os
import signal
import sys
from pathlib import Path

from afterglow.server import logs, sockets
from afterglow.server.server import serve_app
from afterglow.server.supervisor import Supervisor
from afterglow.settings import System, from_environment
from tests.server.stub_worker import app


def main() -> None:
    workers = int(sys.argv[1])
    settings = from_environment()
    logs.configure()
    listeners = sockets.listen("127.0.0.1", 0)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))

    def ready() -> None:
        sys.stdout.write(f"{listeners[0].getsockname()[1]} {os.getpid()}\n")
        sys.stdout.flush()

    if workers == 0:
        serve_app(app, settings, System(), listeners=listeners, on_ready=ready)
        return
    command = [sys.executable, str(Path(__file__).with_name("stub_worker.py"))]
    supervisor = Supervisor(listeners, command, workers, shutdown_seconds=settings.shutdown_seconds, on_ready=ready)
    sys.exit(supervisor.run())


if __name__ == "__main__":
    main()
