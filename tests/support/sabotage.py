"""AWS that fails on purpose, beneath botocore's retries: each attempt of an operation asks what shall become of it.

::

    answered(503, "SlowDown")   the service says so and does nothing
    lost                        the service does it, and the answer never arrives
    unreachable                 no connection
    torn(1000)                  the body of the answer breaks off after so many bytes
    cut(1000)                   the body ends early, as if that were all
    other_bytes                 the body has the right length and another content
    dies                        the process dies when the service has done it

It works on any emulator, as it takes the place of the endpoint that a client sends attempts by.
"""

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
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError
from botocore.response import StreamingBody

from tests.support.faulty import Crash

Result = tuple[Any, BaseException | None]
Send = Callable[[], Result]
Fault = Callable[["Sabotage", str, Send], Result]


class Sabotage:
    """What becomes of the attempts of a client; `attempts` counts them by operation, failed ones included."""

    def __init__(self, client: Any) -> None:
        self.attempts: Counter[str] = Counter()
        self.sent: list[tuple[str, dict[str, str]]] = []
        self._plans: dict[str, list[Fault | None]] = {}
        self._lock = threading.Lock()
        self._canned = threading.local()
        self._service = client.meta.service_model.service_id.hyphenize()
        self._respond = client._endpoint._do_get_response
        client._endpoint._do_get_response = self._attempt
        client.meta.events.register_first(f"before-send.{self._service}", self._answer)

    def plan(self, operation: str, *faults: Fault | None) -> None:
        """What becomes of the next attempts of an operation, one after another; None: nothing happens to it."""
        with self._lock:
            self._plans[operation] = [*faults]

    def always(self, operation: str, fault: Fault) -> None:
        """What becomes of every attempt of an operation."""
        self.plan(operation, *[fault] * 10_000)

    def answer_with(self, response: AWSResponse, send: Send) -> Result:
        """Send, but have this come back."""
        self._canned.response = response
        try:
            return send()
        finally:
            self._canned.response = None

    def error(self, status: int, code: str, headers: dict[str, str]) -> AWSResponse:
        """An answer as the service words it."""
        if self._service == "s3":
            said = f"<Error><Code>{escape(code)}</Code><Message>on purpose</Message></Error>"
            return _response(status, headers, said)
        said = orjson.dumps({"__type": f"com.amazonaws#{code}", "message": "on purpose"}).decode()
        return _response(status, headers, said)

    def _attempt(self, request: Any, operation_model: Any, context: Any) -> Result:
        name = operation_model.name
        with self._lock:
            self.attempts[name] += 1
            self.sent.append((name, {key.lower(): _text(value) for key, value in request.headers.items()}))
            plan = self._plans.get(name, [])
            fault = plan.pop(0) if plan else None

        def send() -> Result:
            result: Result = self._respond(request, operation_model, context)
            return result

        return send() if fault is None else fault(self, request.url, send)

    def _answer(self, request: Any, **_: object) -> AWSResponse | None:
        return getattr(self._canned, "response", None)


def answered(status: int, code: str, **headers: str) -> Fault:
    return lambda sabotage, _, send: sabotage.answer_with(sabotage.error(status, code, headers), send)


def lost(_: Sabotage, url: str, send: Send) -> Result:
    send()
    return None, ConnectionClosedError(endpoint_url=url)


def unreachable(_: Sabotage, url: str, send: Send) -> Result:
    return None, EndpointConnectionError(endpoint_url=url)


def dies(_: Sabotage, url: str, send: Send) -> Result:
    send()
    raise Crash(url)


def torn(after: int) -> Fault:
    return lambda _, __, send: _with_body(send(), lambda whole: _Raw(whole[:after], breaks=True))


def cut(after: int) -> Fault:
    return lambda _, __, send: _with_body(send(), lambda whole: _Raw(whole[:after]))


def other_bytes(_: Sabotage, url: str, send: Send) -> Result:
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
