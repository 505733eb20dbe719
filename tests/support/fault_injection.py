"""Fault injection for AWS, beneath botocore's retries: every attempt of an operation may get a planned fault.

::

    error_response(503, "SlowDown")    the service returns this error and does nothing
    response_lost                      the service executes the request, and the response never arrives
    unreachable                        no connection
    break_body(1000)                   the connection breaks after this many bytes of the response body
    truncate_body(1000)                the body ends early without an error
    replace_body                       the body has the right length and other content
    crash_after_request                the process crashes after the service has executed the request
    run_first(act)                     another actor does something first
    cancel_transaction("None", "…")    a transaction is cancelled for these reasons
    leave_unprocessed(3)               this many items of a batch are returned as unprocessed

It works with any emulator, because it replaces the endpoint through which a client sends its attempts.
"""

import base64
import threading
import types
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

import orjson
import pytest
import urllib3
from botocore.awsrequest import AWSResponse
from botocore.endpoint import convert_to_response_dict
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError
from botocore.response import StreamingBody

from tests.support.faulty import Crash

Result = tuple[Any, BaseException | None]
Send = Callable[[], Result]
Fault = Callable[["FaultInjector", Any, Send], Result]
"""Takes the request and the function that sends it."""


class FaultInjector:
    """Injects faults into the attempts of a client; `attempts` counts them by operation, failed ones included."""

    def __init__(self, client: Any) -> None:
        self.attempts: Counter[str] = Counter()
        self.sent: list[tuple[str, dict[str, str]]] = []
        self._plans: dict[str, list[Fault | None]] = {}
        self._lock = threading.Lock()
        self._current = threading.local()
        self._service = client.meta.service_model.service_id.hyphenize()
        self._endpoint = client._endpoint
        self._respond = client._endpoint._do_get_response
        client._endpoint._do_get_response = self._attempt

    def plan(self, operation: str, *faults: Fault | None) -> None:
        """The faults of the next attempts of an operation, in order; None: no fault."""
        with self._lock:
            self._plans[operation] = [*faults]

    def always(self, operation: str, fault: Fault) -> None:
        """The fault of every attempt of an operation."""
        self.plan(operation, *[fault] * 10_000)

    def respond_with(self, response: AWSResponse) -> Result:
        """Return this response; the service does not get the request."""
        model, endpoint = self._current.model, self._endpoint
        response_dict = convert_to_response_dict(response, model)
        parser = endpoint._response_parser_factory.create_parser(model.service_model.resolved_protocol)
        parsed = parser.parse(response_dict, model.output_shape)
        endpoint._add_modeled_error_fields(response_dict, parsed, model, parser)
        return (response, parsed), None

    def error(self, status: int, code: str, headers: dict[str, str]) -> AWSResponse:
        """An error response in the service's format."""
        if self._service == "s3":
            body = f"<Error><Code>{escape(code)}</Code><Message>on purpose</Message></Error>"
            return _response(status, headers, body)
        body = orjson.dumps({"__type": f"com.amazonaws#{code}", "message": "on purpose"}).decode()
        return _response(status, headers, body)

    def _next(self, name: str) -> Fault | None:
        """The fault of the next attempt, None for none."""
        plan = self._plans.get(name, [])
        return plan.pop(0) if plan else None

    def _attempt(self, request: Any, operation_model: Any, context: Any) -> Result:
        name, self._current.model = operation_model.name, operation_model
        with self._lock:
            self.attempts[name] += 1
            self.sent.append((name, {key.lower(): _text(value) for key, value in request.headers.items()}))
            fault = self._next(name)

        def send() -> Result:
            result: Result = self._respond(request, operation_model, context)
            return result

        return send() if fault is None else fault(self, request, send)


def error_response(status: int, code: str, **headers: str) -> Fault:
    return lambda injector, _, __: injector.respond_with(injector.error(status, code, headers))


def response_lost(_: FaultInjector, request: Any, send: Send) -> Result:
    send()
    return None, ConnectionClosedError(endpoint_url=request.url)


def unreachable(_: FaultInjector, request: Any, send: Send) -> Result:
    return None, EndpointConnectionError(endpoint_url=request.url)


def crash_after_request(_: FaultInjector, request: Any, send: Send) -> Result:
    send()
    raise Crash(request.url)


def run_first(act: Callable[[], object]) -> Fault:
    def fault(_: FaultInjector, __: Any, send: Send) -> Result:
        act()
        return send()

    return fault


def cancel_transaction(*codes: str) -> Fault:
    reasons = ", ".join(f'{{"Code": "{code}"}}' for code in codes)
    body = f'{{"__type": "x#TransactionCanceledException", "Message": "", "CancellationReasons": [{reasons}]}}'
    return lambda injector, _, __: injector.respond_with(_response(400, {}, body))


def leave_unprocessed(count: int) -> Fault:
    """The first `count` items of a DynamoDB batch are returned as unprocessed."""

    def fault(_: FaultInjector, request: Any, send: Send) -> Result:
        (http, parsed), exception = send()
        ((table, batch),) = orjson.loads(request.body)["RequestItems"].items()
        if isinstance(batch, list):
            parsed["UnprocessedItems"] = {table: _with_bytes(batch[:count])}
        else:
            left = batch["Keys"][:count]
            items = parsed["Responses"][table]
            parsed["Responses"][table] = [item for item in items if {"pk": item["pk"], "sk": item["sk"]} not in left]
            parsed["UnprocessedKeys"] = {table: {**batch, "Keys": left}}
        return (http, parsed), exception

    return fault


def _with_bytes(value: Any) -> Any:
    """A JSON value with its binary values decoded."""
    if isinstance(value, list):
        return [_with_bytes(item) for item in value]
    if isinstance(value, dict):
        return {name: base64.b64decode(item) if name == "B" else _with_bytes(item) for name, item in value.items()}
    return value


def break_body(after: int) -> Fault:
    return lambda _, __, send: _with_body(send(), lambda whole: _Raw(whole[:after], breaks=True))


def truncate_body(after: int) -> Fault:
    return lambda _, __, send: _with_body(send(), lambda whole: _Raw(whole[:after]))


def replace_body(_: FaultInjector, request: Any, send: Send) -> Result:
    return _with_body(send(), lambda whole: _Raw(b"?" * len(whole)))


def _with_body(result: Result, change: Callable[[bytes], "_Raw"]) -> Result:
    (http, parsed), exception = result
    whole = parsed["Body"].read()
    parsed["Body"] = StreamingBody(change(whole), len(whole))  # type: ignore[arg-type]
    return (http, parsed), exception


class _Raw:
    """A raw response body."""

    def __init__(self, content: bytes, *, breaks: bool = False) -> None:
        self._content = content
        self._breaks = breaks

    def read(self, amount: int | None = None, **_: object) -> bytes:
        if not self._content and self._breaks:
            raise urllib3.exceptions.ProtocolError("connection broken on purpose")
        amount = len(self._content) if amount is None else amount
        chunk, self._content = self._content[:amount], self._content[amount:]
        return chunk

    def stream(self, **_: object) -> Iterable[bytes]:
        yield self.read()

    def close(self) -> None:
        pass


def _response(status: int, headers: dict[str, str], body: str) -> AWSResponse:
    raw_headers: Any = headers
    return AWSResponse("http://nowhere", status, raw_headers, _Raw(body.encode()))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def skip_botocore_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Skip botocore's pauses; returns the list of their lengths in seconds."""
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", types.SimpleNamespace(sleep=pauses.append))
    return pauses
