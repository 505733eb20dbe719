"""AWS that fails on purpose, beneath botocore's retries: each attempt of an operation asks what shall become of it.

::

    answered(503, "SlowDown")   the service says so and does nothing
    lost                        the service does it, and the answer never arrives
    unreachable                 no connection
    torn(1000)                  the body of the answer breaks off after so many bytes
    cut(1000)                   the body ends early, as if that were all
    other_bytes                 the body has the right length and another content
    dies                        the process dies when the service has done it
    after(act)                  somebody else does something first
    cancelled("None", "…")      a transaction is cancelled, for these reasons
    leaving(3)                  that many of a batch are left undone

It works on any emulator, as it takes the place of the endpoint that a client sends attempts by.
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
Fault = Callable[["Sabotage", Any, Send], Result]
"""Takes the request, and what sends it."""


class Sabotage:
    """What becomes of the attempts of a client; `attempts` counts them by operation, failed ones included."""

    def __init__(self, client: Any) -> None:
        self.attempts: Counter[str] = Counter()
        self.sent: list[tuple[str, dict[str, str]]] = []
        self._plans: dict[str, list[Fault | None]] = {}
        self._lock = threading.Lock()
        self._doing = threading.local()
        self._service = client.meta.service_model.service_id.hyphenize()
        self._endpoint = client._endpoint
        self._respond = client._endpoint._do_get_response
        client._endpoint._do_get_response = self._attempt

    def plan(self, operation: str, *faults: Fault | None) -> None:
        """What becomes of the next attempts of an operation, one after another; None: nothing happens to it."""
        with self._lock:
            self._plans[operation] = [*faults]

    def always(self, operation: str, fault: Fault) -> None:
        """What becomes of every attempt of an operation."""
        self.plan(operation, *[fault] * 10_000)

    def answer_with(self, response: AWSResponse) -> Result:
        """Have this come back from the service, which hears nothing of the request."""
        model, endpoint = self._doing.model, self._endpoint
        said = convert_to_response_dict(response, model)
        parser = endpoint._response_parser_factory.create_parser(model.service_model.resolved_protocol)
        parsed = parser.parse(said, model.output_shape)
        endpoint._add_modeled_error_fields(said, parsed, model, parser)
        return (response, parsed), None

    def error(self, status: int, code: str, headers: dict[str, str]) -> AWSResponse:
        """An answer as the service words it."""
        if self._service == "s3":
            said = f"<Error><Code>{escape(code)}</Code><Message>on purpose</Message></Error>"
            return _response(status, headers, said)
        said = orjson.dumps({"__type": f"com.amazonaws#{code}", "message": "on purpose"}).decode()
        return _response(status, headers, said)

    def _next(self, name: str) -> Fault | None:
        """What becomes of an attempt that is made now."""
        plan = self._plans.get(name, [])
        return plan.pop(0) if plan else None

    def _attempt(self, request: Any, operation_model: Any, context: Any) -> Result:
        name, self._doing.model = operation_model.name, operation_model
        with self._lock:
            self.attempts[name] += 1
            self.sent.append((name, {key.lower(): _text(value) for key, value in request.headers.items()}))
            fault = self._next(name)

        def send() -> Result:
            result: Result = self._respond(request, operation_model, context)
            return result

        return send() if fault is None else fault(self, request, send)


def answered(status: int, code: str, **headers: str) -> Fault:
    return lambda sabotage, _, __: sabotage.answer_with(sabotage.error(status, code, headers))


def lost(_: Sabotage, request: Any, send: Send) -> Result:
    send()
    return None, ConnectionClosedError(endpoint_url=request.url)


def unreachable(_: Sabotage, request: Any, send: Send) -> Result:
    return None, EndpointConnectionError(endpoint_url=request.url)


def dies(_: Sabotage, request: Any, send: Send) -> Result:
    send()
    raise Crash(request.url)


def after(act: Callable[[], object]) -> Fault:
    def fault(_: Sabotage, __: Any, send: Send) -> Result:
        act()
        return send()

    return fault


def cancelled(*codes: str) -> Fault:
    reasons = ", ".join(f'{{"Code": "{code}"}}' for code in codes)
    said = f'{{"__type": "x#TransactionCanceledException", "Message": "", "CancellationReasons": [{reasons}]}}'
    return lambda sabotage, _, __: sabotage.answer_with(_response(400, {}, said))


def leaving(count: int) -> Fault:
    """Of a batch of DynamoDB: the first `count` of it come back as not processed."""

    def fault(_: Sabotage, request: Any, send: Send) -> Result:
        (http, parsed), exception = send()
        ((table, asked),) = orjson.loads(request.body)["RequestItems"].items()
        if isinstance(asked, list):
            parsed["UnprocessedItems"] = {table: _with_bytes(asked[:count])}
        else:
            left = asked["Keys"][:count]
            found = parsed["Responses"][table]
            parsed["Responses"][table] = [item for item in found if {"pk": item["pk"], "sk": item["sk"]} not in left]
            parsed["UnprocessedKeys"] = {table: {**asked, "Keys": left}}
        return (http, parsed), exception

    return fault


def _with_bytes(value: Any) -> Any:
    """What was read from JSON, its binary values decoded."""
    if isinstance(value, list):
        return [_with_bytes(each) for each in value]
    if isinstance(value, dict):
        return {name: base64.b64decode(each) if name == "B" else _with_bytes(each) for name, each in value.items()}
    return value


def torn(after: int) -> Fault:
    return lambda _, __, send: _with_body(send(), lambda whole: _Raw(whole[:after], breaks=True))


def cut(after: int) -> Fault:
    return lambda _, __, send: _with_body(send(), lambda whole: _Raw(whole[:after]))


def other_bytes(_: Sabotage, request: Any, send: Send) -> Result:
    return _with_body(send(), lambda whole: _Raw(b"?" * len(whole)))


def _with_body(result: Result, change: Callable[[bytes], "_Raw"]) -> Result:
    (http, parsed), exception = result
    whole = parsed["Body"].read()
    parsed["Body"] = StreamingBody(change(whole), len(whole))  # type: ignore[arg-type]
    return (http, parsed), exception


class _Raw:
    """A body off the wire."""

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


def _response(status: int, headers: dict[str, str], said: str) -> AWSResponse:
    given: Any = headers
    return AWSResponse("http://nowhere", status, given, _Raw(said.encode()))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def without_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let botocore's pauses pass at once; the list gathers how long they would have been."""
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", types.SimpleNamespace(sleep=pauses.append))
    return pauses
