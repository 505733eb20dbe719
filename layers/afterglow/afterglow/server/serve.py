"""Opens a deployment and serves it in this process: engine, watched folder, metrics, traces and the app."""

import logging
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from afterglow.api.app import THREADS, create_app
from afterglow.api.http.byte_budget import make_budgets
from afterglow.api.v2.routes import ROUTES
from afterglow.bulk.directory_watcher import DirectoryWatcher
from afterglow.deployment.open import open_deployment
from afterglow.jobs.start import start_engine
from afterglow.server import open_files
from afterglow.server.cors import with_cors
from afterglow.server.metrics import Metrics
from afterglow.server.observe import Observer
from afterglow.server.server import serve_app
from afterglow.server.traces import open_traces
from afterglow.settings import Settings, System

log = logging.getLogger(__name__)

MIN_FREE_BYTES = 64 * 1024 * 1024
"""With less free space on the disk of the data directory the server is not ready."""


def disk_problem(path: Path) -> str | None:
    """What is wrong with the disk of a data directory: it is full, or not there. None if nothing is."""
    try:
        free = shutil.disk_usage(path).free
    except OSError as error:
        return f"the data directory cannot be read: {error.strerror}"
    return f"the disk is full: {free} bytes are free" if free < MIN_FREE_BYTES else None


def serve(
    path: Path | None,
    settings: Settings,
    system: System,
    *,
    allow_reset: bool,
    listeners: list[socket.socket] | None = None,
    control: socket.socket | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serve the directory at `path`, or the AWS deployment (None); the other arguments are those of `serve_app`.

    Raises the errors of `open_deployment` and `start_engine`.
    """
    shares = open_files.share(open_files.raise_limit(), THREADS, settings.max_connections)
    if shares.connections < settings.max_connections:
        log.warning(
            "the limit of open files suffices for %d connections and %d threads", shares.connections, shares.threads
        )
        settings = replace(settings, max_connections=shares.connections)
    traces = open_traces(settings, system)
    metrics = Metrics(is_shared=control is not None)
    deployment = open_deployment(path, settings, system)
    engine = start_engine(deployment, settings, system, metrics.record_index_run, metrics.record_index_silence)
    watcher = None if path is None else DirectoryWatcher(path, engine)
    if watcher is not None:
        watcher.start()
    try:
        budgets = make_budgets(
            settings.max_inflight_body_bytes, settings.max_body_bytes, settings.max_inflight_response_bytes
        )
        for route in ROUTES:
            # A server may outlive the files of its version: it imports everything while they are there.
            route.loaded()
        app = create_app(
            engine,
            settings,
            system,
            allow_reset=allow_reset,
            report_usage=path is None,
            threads=shares.threads,
            budgets=budgets,
            metrics=metrics.text,
            checks=() if path is None else (partial(disk_problem, path),),
        )
        observed = Observer(
            with_cors(app, settings),
            metrics,
            settings,
            lambda: engine.open_collections,
            engine.take_recall,
            traces=traces,
        )
        serve_app(observed, settings, system, listeners=listeners, control=control, on_ready=on_ready)
    finally:
        if watcher is not None:
            watcher.close()
        metrics.flush()
        engine.close()
        if traces is not None:
            traces.close()
