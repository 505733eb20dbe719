"""The ASGI application: the Chroma API over an engine."""

import os
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from afterglow.api.http.byte_budget import Budgets
from afterglow.api.http.delivery import send_response
from afterglow.api.http.endpoint import Endpoint, not_found
from afterglow.api.http.handler import AppContext
from afterglow.api.http.route import Execution, Route, served_routes
from afterglow.api.http.router import Router
from afterglow.api.http.usage_header import UsageMiddleware
from afterglow.api.v2.routes import ROUTES
from afterglow.auth.authenticator import make_authenticator
from afterglow.settings import Settings, System

if TYPE_CHECKING:
    from afterglow.collection import Engine

THREADS = 16
"""Requests that may access the stores at the same time; further ones wait."""


def create_app(
    engine: "Engine",
    settings: Settings,
    system: System,
    *,
    allow_reset: bool,
    report_usage: bool = False,
    threads: int = THREADS,
    budgets: Budgets | None = None,
    metrics: Callable[[], bytes] | None = None,
    checks: tuple[Callable[[], str | None], ...] = (),
) -> ASGIApp:
    """The application. Its shutdown closes its threads, not the engine, which the caller opened.

    `report_usage`: responses have a usage header, see `api.http.usage_header`. `threads` is the size of the thread
    pool; with 0 every handler runs on the event loop, which is fastest if requests arrive one at a time.
    `budgets` limit the memory for bodies and responses; they need the extension `delivery.ABORT` of the server.
    `metrics` and `checks` are what `/metrics` and `/ready` answer with, see `AppContext`. `settings.auth` selects the
    authentication; raises InvalidArgument for an invalid one.
    """
    authenticator = make_authenticator(lambda: engine.keys, settings, system)
    context = AppContext(engine, settings, system, allow_reset, os.cpu_count() or 1, authenticator, metrics, checks)
    pools: dict[Execution, Executor] = {}
    if threads:
        pools[Execution.THREAD_POOL] = ThreadPoolExecutor(threads, thread_name_prefix="api")
        pools[Execution.EMBEDDING] = ThreadPoolExecutor(threads, thread_name_prefix="api-embedding")
        pools[Execution.DEDICATED_THREAD] = ThreadPoolExecutor(1, thread_name_prefix="api-dedicated")

    app: ASGIApp = App(Router(_endpoints(context, pools, budgets)), context, tuple(pools.values()))
    return UsageMiddleware(app) if report_usage else app


def _endpoints(
    context: AppContext, pools: dict[Execution, Executor], budgets: Budgets | None
) -> list[tuple[str, Endpoint]]:
    paths: dict[str, dict[str, Route]] = {}
    for route in served_routes(ROUTES, context.settings):
        paths.setdefault(route.path, {})[route.method] = route
    advice = (
        f"send fewer records per request (max_batch_size is {context.settings.max_batch_size}); "
        "embeddings are smaller in base64"
    )
    return [(path, Endpoint(context, methods, pools, advice, budgets)) for path, methods in paths.items()]


@dataclass(frozen=True, slots=True)
class App:
    """The routes as one ASGI application. Its shutdown closes the thread pools."""

    router: Router[Endpoint]
    context: AppContext
    pools: tuple[Executor, ...]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the server."""
        kind = scope["type"]
        if kind == "http":
            await self._serve(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path")
        if raw is not None and b"%" in raw:
            # A name may contain an encoded slash; `Request.path_part` decodes.
            scope["path"] = raw.split(b"?", 1)[0].decode("latin-1")
        found = self.router.find(scope["path"])
        if found is None:
            await send_response(send, not_found(self.context), 404)
            return
        endpoint, scope["path_params"] = found
        await endpoint(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for pool in self.pools:
            pool.shutdown(wait=True, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})
