"""One path of the server as an ASGI application: method, authentication, body, handler, response.

Authentication precedes reading the body, and no route can skip it: every route declares its permission. So a request
takes memory for its body only after its credential was accepted.

No framework's request and response objects are used: a query should cost little more than its search.
"""

import contextvars
import logging
from asyncio import get_running_loop, sleep
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send

from afterglow.api.http import body, content_encoding, delivery, errors, feed, request_params, restricted
from afterglow.api.http.byte_budget import Budgets
from afterglow.api.http.delivery import send_response
from afterglow.api.http.errors import forbidden
from afterglow.api.http.feed import Client, EventStream, Followers
from afterglow.api.http.handler import AppContext, Deferred, Feed, Request, Response
from afterglow.api.http.route import Execution, Handler, Route
from afterglow.api.http.usage_header import RESTRICTED
from afterglow.auth import ANONYMOUS, FULL_ACCESS, Grant, Permission, credentials
from afterglow.auth.authenticator import Authenticator
from afterglow.auth.rate_limit import network_of
from afterglow.errors import AfterglowError
from afterglow.metering import current_usage, phase

T = TypeVar("T")

_USER = "afterglow.user"
"""Key of the ASGI scope: the authenticated user."""
_RESTRICTED = "afterglow.restricted"
"""Key of the ASGI scope: whether the caller's key has filters."""

logger = logging.getLogger("afterglow.api")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The routes of one path, by method.

    `pools` holds the thread pools by kind of execution; handlers without a pool run on the event loop.
    """

    context: AppContext
    routes: Mapping[str, Route]
    pools: Mapping[Execution, Executor]
    advice: str
    """Advice in the error for a body that is too large."""
    budgets: Budgets | None = None
    """Limits on bodies and responses in memory; None where the caller of the application has its own."""
    followers: Followers = field(default_factory=Followers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        method = scope["method"]
        route = self.routes.get("GET" if method == "HEAD" else method)
        if route is None:
            await send_response(send, not_allowed(self.context, self.routes), 405)
            return
        usage = current_usage()
        if usage is not None:
            usage.attributes["operation"] = route.operation
            if "collection_id" in scope["path_params"]:
                usage.attributes["collection"] = scope["path_params"]["collection_id"]
        lease = None
        try:
            response = await self._respond(route, scope, receive)
            if isinstance(response, Feed):
                await self._stream(response, scope, receive, send)
                return
            if scope.get(_RESTRICTED):
                response = restricted.hide_positions(response)
            if method != "HEAD" and self.budgets is not None and delivery.is_counted(response):
                lease = await delivery.reserve(self.budgets.responses, response, _caller(scope))
        except body.ClientGone:
            logger.debug("%s %s: the client disconnected before its request was complete", method, scope["path"])
            return
        except AfterglowError as error:
            if scope.get(_RESTRICTED):
                error = restricted.without_figures(error)
            response = errors.client_error(error, method, scope["path"], errors.new_trace_id(self.context.system))
        except Exception as error:  # noqa: BLE001 - the outermost frame: any error becomes a logged 500
            response = errors.server_error(error, method, scope["path"], errors.new_trace_id(self.context.system))
        if lease is None:
            await send_response(send, response, route.success, headers_only=method == "HEAD")
            return
        try:
            await delivery.send_large(scope, send, response, route.success, lease)
        finally:
            lease.release()

    async def _stream(self, pages: Feed, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a stream of events. Raises Busy if too many requests wait."""
        client = Client(scope, receive)
        budget = None if self.budgets is None else self.budgets.responses
        run = partial(self._execute, Execution.THREAD_POOL)
        try:
            with self.followers.join(client, _caller(scope)):
                await EventStream(scope, send, budget, _caller(scope)).send(pages, client, run, self.context.system)
        finally:
            await client.close()

    async def _wait(self, pages: Feed, scope: Scope, receive: Receive) -> Response:
        """The next page of a feed. Raises Busy if too many requests wait."""
        client = Client(scope, receive)
        try:
            with self.followers.join(client, _caller(scope)):
                return await feed.wait(pages, client, partial(self._execute, Execution.THREAD_POOL))
        finally:
            await client.close()

    async def _respond(self, route: Route, scope: Scope, receive: Receive) -> Response | Feed:
        settings = self.context.settings
        try:
            if self.context.authenticator is None:
                grant, handler = FULL_ACCESS, route.handler
            else:
                grant, handler = await self._authorize(self.context.authenticator, route, scope)
        except AfterglowError:
            if route.request is not None:
                await body.skip_body(
                    receive, scope["headers"], settings.max_body_bytes, chunk_seconds=settings.client_timeout_seconds
                )
            raise
        scope[_USER] = grant.user
        scope[_RESTRICTED] = grant.wheres is not None
        lease = None
        try:
            content: bytes | None = b""
            if route.request is not None:
                body.require_json(scope["headers"])
                content = body.take_arrived(scope, settings.max_body_bytes, self.advice)
            if content is None:
                lease = None if self.budgets is None else self.budgets.bodies.lease(_caller(scope))
                content = await body.read_body(
                    receive,
                    scope["headers"],
                    settings.max_body_bytes,
                    self.advice,
                    lease=lease,
                    chunk_seconds=settings.client_timeout_seconds,
                )
            if route.strict_query and scope["query_string"]:
                request_params.require_known(scope["query_string"], [name for name, _ in route.query])
            request = Request(scope["path_params"], scope["query_string"], content, dict(scope["headers"]), grant)
            response = await self._execute(route.execution, partial(handler, self.context, request))
            if isinstance(response, Deferred):
                pool = Execution.EMBEDDING if response.embeds else Execution.THREAD_POOL
                response = await self._execute(pool, response.work)
            elif isinstance(response, Feed):
                can_wait = Execution.THREAD_POOL in self.pools
                if scope["method"] == "HEAD":
                    response = response.first
                elif response.is_stream:
                    return response if can_wait else replace(response, wait_seconds=0.0)
                else:
                    response = await self._wait(response, scope, receive) if can_wait else response.first
        finally:
            if lease is not None:
                lease.release()
        if response.delay_seconds:
            await sleep(response.delay_seconds)
        if not content_encoding.needs_no_encoding(response, self.context.settings):
            response = await self._execute(Execution.THREAD_POOL, partial(self._encode, response, scope))
        return response

    async def _authorize(self, authenticator: Authenticator, route: Route, scope: Scope) -> tuple[Grant, Handler]:
        """The caller's permissions, and the handler for which they suffice.

        Raises Unauthenticated, Forbidden, Busy, Unavailable. The check uses the names in the request alone, so that a
        refusal reveals nothing about stored data.
        """
        if route.permission is Permission.PUBLIC:
            return ANONYMOUS, route.handler
        credential = credentials.extract(scope["headers"])
        grant = authenticator.cached(credential)
        if grant is None:
            work = partial(authenticator.authenticate, credential, _address(scope))
            grant = await self._execute(Execution.THREAD_POOL, work)
        usage = current_usage()
        if usage is not None:
            usage.attributes["caller"] = grant.user
            if grant.wheres is not None:
                usage.attributes[RESTRICTED] = True
        handler = route.handler if grant.wheres is None else route.restricted
        if handler is None:
            raise forbidden()
        if _is_allowed(grant, route, route.permission, scope):
            return grant, handler
        if route.read_only is not None and _is_allowed(grant, route, Permission.READ, scope):
            return grant, route.read_only
        raise forbidden()

    async def _execute(self, execution: Execution, work: Callable[[], T]) -> T:
        pool = self.pools.get(execution)
        if pool is None:
            return work()
        if current_usage() is not None:
            work = partial(contextvars.copy_context().run, work)
        return await get_running_loop().run_in_executor(pool, work)

    def _encode(self, response: Response, scope: Scope) -> Response:
        with phase("compress"):
            return content_encoding.encode_response(response, scope["headers"], self.context.settings)


def _address(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


def _caller(scope: Scope) -> str:
    """The user, or without authentication the client's address."""
    return scope.get(_USER) or network_of(_address(scope))


def _is_allowed(grant: Grant, route: Route, permission: Permission, scope: Scope) -> bool:
    """Whether the caller has the permission for what the request names. Raises InvalidArgument."""
    if not grant.has_role(permission) or route.scope_of is None or permission is Permission.AUTHENTICATED:
        return grant.has_role(permission)
    return grant.allows(permission, *route.scope_of(Request(scope["path_params"], scope["query_string"])))


def not_found(context: AppContext) -> Response:
    """The response for an unknown path."""
    return Response(b"", 404, b"", [errors.trace_header(errors.new_trace_id(context.system))])


def not_allowed(context: AppContext, methods: Mapping[str, Any]) -> Response:
    """The response for a method that the path does not have."""
    allowed = sorted({*methods, "HEAD"} if "GET" in methods else methods)
    trace = errors.trace_header(errors.new_trace_id(context.system))
    return Response(b"", 405, b"", [trace, (b"allow", ",".join(allowed).encode())])
