"""`afterglow run`: reports bad settings, addresses and directories first, then serves, with one process or several."""

import argparse
import json
import os
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from afterglow.cli import options
from afterglow.cli.console import EXIT_USAGE, echo, exit_with, notice
from afterglow.server import logs
from afterglow.settings import MAX_PORT, MAX_WORKERS, Settings, System, use_settings_file, worker_environment
from afterglow.temporary import Purpose, TemporaryFolder, remove_abandoned
from afterglow.version import __version__

_CHROMA_TABLE = "chroma.sqlite3"


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options of `run`."""
    parser.add_argument(
        "file",
        nargs="?",
        type=options.parse_path,
        metavar="FILE",
        help="Settings file; the same as --config. `chroma run` takes it here, too.",
    )
    options.add_deployment(parser, options.NEW_DIRECTORY)
    parser.add_argument(
        "--host",
        help="Address to listen on; 0.0.0.0 listens on every network interface. Without it AFTERGLOW_HOST, which is "
        "127.0.0.1 by default.",
    )
    parser.add_argument(
        "-p",
        "--port",
        type=options.int_between(0, MAX_PORT),
        help="Port to listen on; 0 picks a free port. Without it AFTERGLOW_PORT, which is 8000 by default.",
    )
    parser.add_argument(
        "--workers",
        type=options.int_between(1, MAX_WORKERS),
        help="Number of server processes; one per CPU core is plenty. Without it AFTERGLOW_WORKERS, which is 1 by "
        "default.",
    )
    parser.add_argument("--log-level", choices=logs.LEVELS, help="Minimum level of log lines; AFTERGLOW_LOG_LEVEL.")
    parser.add_argument("--log-format", choices=logs.FORMATS, help="Format of log lines; AFTERGLOW_LOG_FORMAT.")
    parser.add_argument("--allow-reset", action="store_true", help="Enable the reset endpoint, which deletes all data.")


def run(args: argparse.Namespace) -> None:
    """Serve the Chroma API from a data directory or an AWS account, until Ctrl-C or SIGTERM."""
    if args.file is not None:
        if args.config is not None:
            exit_with("run takes one settings file: FILE or --config", EXIT_USAGE)
        use_settings_file(args.file)
    settings = options.load_settings(aws=args.aws)
    names = ("host", "port", "workers", "log_level", "log_format")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    settings = replace(settings, allow_reset=args.allow_reset or settings.allow_reset, **given)
    path = None if args.aws else options.ensure_directory(options.directory(args, settings))
    if path is not None and (path / _CHROMA_TABLE).exists():
        notice(
            f"warning: {path} has data of Chroma, which this server does not read; copy it into another directory: "
            f"afterglow import --from-chroma {path} --path …"
        )
    serve(path, settings)


def serve(path: Path | None, settings: Settings) -> None:
    """Serves a data directory, or the AWS account (None), until SIGTERM or SIGINT.

    Exits with 1 for an address or a directory that cannot be used.
    """
    from afterglow.server import interpreter, sockets

    host, workers = settings.host, settings.workers
    listeners = sockets.listen(host, settings.port)
    interpreter.before_imports()
    remove_abandoned()
    logs.configure(settings.log_level, settings.log_format)
    if settings.auth.strip().lower() == "off" and not sockets.are_loopback(listeners):
        notice(
            f"warning: authentication is off and {host} is not a loopback address: everyone who can reach this port "
            "can read, change and delete all data; set AFTERGLOW_AUTH"
        )
    data = path or f"table {settings.table} and bucket {settings.bucket}"
    announce = partial(_announce, sockets.url(host, listeners), data, workers)
    # The imports below take a while; SIGTERM must end the process meanwhile.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    if workers == 1:
        from afterglow.server.serve import serve as serve_here

        system = System()
        serve_here(path, settings, system, allow_reset=settings.allow_reset, listeners=listeners, on_ready=announce)
    else:
        from afterglow.deployment.local import open_local
        from afterglow.server.supervisor import Supervisor

        if path is not None:
            # Fails here with one line if the directory cannot be opened, not with a line from each worker.
            open_local(path, System()).table.close()
        worker_options = {
            "path": None if path is None else str(path),
            "allow_reset": settings.allow_reset,
            "log_level": settings.log_level,
            "log_format": settings.log_format,
        }
        # The workers share their metrics through files in this directory.
        with TemporaryFolder(Purpose.METRICS) as shared:
            code = Supervisor(
                listeners,
                [sys.executable, "-m", "afterglow.cli.worker", json.dumps(worker_options)],
                workers,
                shutdown_seconds=settings.shutdown_seconds,
                on_ready=announce,
                environment=worker_environment(str(shared.path)),
            ).run()
        sys.exit(code)


def _announce(url: str, data: Path | str, workers: int) -> None:
    processes = "" if workers == 1 else f", {workers} workers"
    echo(f"afterglow {__version__} serves the Chroma API on {url}, data in {data}, pid {os.getpid()}{processes}")
