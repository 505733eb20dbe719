"""One path of the server as an ASGI application: method, gate, body, handler, answer.

The gate comes before the body is looked at, and no route goes around it: what a route needs is part of its declaration.

Nothing of Starlette's request and response objects is used here: a query should cost little more than its search.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send

from afterglow.api.http import body, content_encoding, errors
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.route import Execution, Route
from afterglow.auth import ANONYMOUS, FULL_ACCESS, Grant, Permission, credentials
from afterglow.errors import AfterglowError, Forbidden
from afterglow.metering import current_usage, phase

T = TypeVar("T")

logger = logging.getLogger("afterglow.api")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The routes of one path, by method.

    `pools` are where handlers run that may not run on the event loop; what has no pool runs there all the same.
    """

    service: AppContext
    routes: Mapping[str, Route]
    pools: Mapping[Execution, Executor]
    advice: str
    """What to do about a body that is too large."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        method = scope["method"]
        route = self.routes.get("GET" if method == "HEAD" else method)
        if route is None:
            await send_response(send, not_allowed(self.service, self.routes), 405)
            return
        usage = current_usage()
        if usage is not None:
            usage.attributes["operation"] = route.operation
            if "collection_id" in scope["path_params"]:
                usage.attributes["collection"] = scope["path_params"]["collection_id"]
        try:
            answer = await self._respond(route, scope, receive)
        except body.ClientGone:
            logger.debug("%s %s: the client left before its request was whole", method, scope["path"])
            return
        except AfterglowError as error:
            answer = errors.client_error(error, method, scope["path"], errors.new_trace_id(self.service.system))
        except Exception as error:  # noqa: BLE001 - the outermost frame: whatever it is becomes a logged 500
            answer = errors.server_error(error, method, scope["path"], errors.new_trace_id(self.service.system))
        await send_response(send, answer, route.success, headers_only=method == "HEAD")

    async def _respond(self, route: Route, scope: Scope, receive: Receive) -> Response:
        settings = self.service.settings
        try:
            grant = await self._authorize(route, scope)
        except AfterglowError:
            if route.request is not None:
                await body.skip_body(
                    receive, scope["headers"], settings.max_body_bytes, piece_seconds=settings.client_timeout_seconds
                )
            raise
        content = b""
        if route.request is not None:
            body.require_json(scope["headers"])
            content = await body.read_body(
                receive,
                scope["headers"],
                settings.max_body_bytes,
                self.advice,
                piece_seconds=settings.client_timeout_seconds,
            )
        call = Request(scope["path_params"], scope["query_string"], content, dict(scope["headers"]), grant)
        done = await self._execute(route.runs, partial(route.handler, self.service, call))
        if isinstance(done, Deferred):
            done = await self._execute(Execution.THREAD_POOL, done.work)
        if not content_encoding.needs_no_encoding(done, self.service.settings):
            done = await self._execute(Execution.THREAD_POOL, partial(self._encode, done, scope))
        return done

    async def _authorize(self, route: Route, scope: Scope) -> Grant:
        """What the caller may do, which is enough for the route. Raises Unauthenticated, Forbidden, Busy, Unavailable.

        What it is about is judged by names alone, so that a refusal says nothing of what is there.
        """
        gate = self.service.authenticator
        if gate is None:
            return FULL_ACCESS
        if route.permission is Permission.PUBLIC:
            return ANONYMOUS
        credential = credentials.extract(scope["headers"])
        grant = gate.cached(credential)
        if grant is None:
            address = (scope.get("client") or ("",))[0]
            grant = await self._execute(Execution.THREAD_POOL, partial(gate.authenticate, credential, address))
        usage = current_usage()
        if usage is not None:
            usage.attributes["caller"] = grant.user
        is_allowed = grant.has_role(route.permission)
        if is_allowed and route.scope_of is not None and route.permission is not Permission.AUTHENTICATED:
            is_allowed = grant.allows(
                route.permission, *route.scope_of(Request(scope["path_params"], scope["query_string"]))
            )
        if not is_allowed:
            raise Forbidden("Forbidden: the credentials do not allow this")
        return grant

    async def _execute(self, where: Execution, work: Callable[[], T]) -> T:
        pool = self.pools.get(where)
        if pool is None:
            return work()
        if current_usage() is not None:
            work = partial(contextvars.copy_context().run, work)
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def _encode(self, answer: Response, scope: Scope) -> Response:
        with phase("compress"):
            return content_encoding.encode_response(answer, scope["headers"], self.service.settings)


def not_found(service: AppContext) -> Response:
    """The answer where there is nothing."""
    return Response(b"", 404, b"", [errors.trace_header(errors.new_trace_id(service.system))])


def not_allowed(service: AppContext, methods: Mapping[str, Any]) -> Response:
    """The answer to a method that a path does not have."""
    allowed = sorted({*methods, "HEAD"} if "GET" in methods else methods)
    trace = errors.trace_header(errors.new_trace_id(service.system))
    return Response(b"", 405, b"", [trace, (b"allow", ",".join(allowed).encode())])


async def send_response(send: Send, answer: Response, success: int, *, headers_only: bool = False) -> None:
    """Send the answer; `success` is the status of one that names none."""
    headers = [(b"content-length", b"%d" % len(answer.body)), *answer.headers]
    if answer.content_type:
        headers.append((b"content-type", answer.content_type))
    await send(
        {
            "type": "http.response.start",
            "status": success if answer.status is None else answer.status,
            "headers": headers,
        }
    )
    await send({"type": "http.response.body", "body": b"" if headers_only else answer.body})
