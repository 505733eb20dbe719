"""POST of JSON over HTTP, for embedding services: bounded in time, attempts and bytes; redirects are not followed.

::

    answer                                        outcome
    200 with JSON                                 its value
    429, 503, 5xx, no or half an answer           another attempt, after `Retry-After` or a pause (full jitter)
    429 at the end                                Busy
    other of these at the end                     Unavailable
    401, 403                                      Unavailable: the operator's key is wrong, the client cannot help it
    404                                           Unavailable: no such model or path there
    other 4xx                                     InvalidArgument: the service refuses the texts

No error contains a header, so no key ends up in a response or a log.
"""

import http.client
import ssl
import threading
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import orjson

from afterglow.errors import Busy, InvalidArgument, Unavailable
from afterglow.retry import Backoff, attempts
from afterglow.settings import System

ATTEMPTS = Backoff(max_attempts=4, first=0.5, last=4.0)
_MAX_ANSWER_BYTES = 256 * 1024 * 1024
_MAX_ERROR_TEXT = 300
_CALL_SECONDS = 60.0
_LONGEST_WAIT = 20.0
_IDLE_CONNECTIONS = 4


class JsonClient:
    """A client of one URL, for any number of threads. `name` is the service's in messages."""

    def __init__(self, name: str, url: str, headers: Mapping[str, str], system: System) -> None:
        parts = urlsplit(url)
        self._name = name
        self._secure = parts.scheme == "https"
        self._address = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"content-type": "application/json", "accept": "application/json", **headers}
        self._system = system
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []

    def post(self, body: Any, deadline: float) -> Any:
        """The answer's JSON. Raises InvalidArgument, Busy, Unavailable."""
        content = orjson.dumps(body)
        problem: Busy | Unavailable = Unavailable(f"{self._name} did not answer in time")
        for _ in attempts(self._system, ATTEMPTS):
            seconds = deadline - self._system.monotonic()
            if seconds <= 0:
                break
            try:
                return self._attempt(content, min(seconds, _CALL_SECONDS))
            except _Final:
                raise
            except (Busy, Unavailable) as error:
                problem = error
                wait = error.retry_after
                if wait > min(_LONGEST_WAIT, deadline - self._system.monotonic()):
                    break
                self._system.sleep(wait)
        raise problem

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _attempt(self, content: bytes, seconds: float) -> Any:
        connection = self._connection(seconds)
        try:
            connection.request("POST", self._path, content, self._headers)
            response = connection.getresponse()
            answer = response.read(_MAX_ANSWER_BYTES + 1)
            if response.length and len(answer) <= _MAX_ANSWER_BYTES:
                # A read of a given size returns what there is when the connection breaks.
                raise http.client.IncompleteRead(answer, response.length)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unavailable(f"{self._name} did not answer: {type(error).__name__}", 0.0) from error
        if len(answer) > _MAX_ANSWER_BYTES:
            connection.close()
            raise _Final(f"{self._name} answered with more than {_MAX_ANSWER_BYTES} bytes")
        self._release(connection, reusable=not response.will_close)
        if response.status != 200:
            raise self._refusal(response.status, response.headers.get("retry-after"), answer)
        try:
            return orjson.loads(answer)
        except orjson.JSONDecodeError as error:
            raise Unavailable(f"{self._name} answered with something other than JSON", 0.0) from error

    def _refusal(self, status: int, retry_after: str | None, answer: bytes) -> Exception:
        text = answer.decode(errors="replace")[:_MAX_ERROR_TEXT]
        wait = float(retry_after) if retry_after is not None and retry_after.strip().isdigit() else 0.0
        if status == 429:
            return Busy(f"{self._name} limits the rate of requests (429): retry later", wait)
        if status >= 500:
            return Unavailable(f"{self._name} failed ({status}): {text}", wait)
        if status in {401, 403}:
            return _Final(f"{self._name} refuses the key of this server ({status})", 60.0)
        if status == 404 or status < 400:
            return _Final(f"{self._name} has no such model or path ({status}): {text}", 60.0)
        return InvalidArgument(f"{self._name} refuses the texts ({status}): {text}")

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            host, port = self._address
            if self._secure:
                return http.client.HTTPSConnection(host, port, timeout=seconds, context=self._tls)
            return http.client.HTTPConnection(host, port, timeout=seconds)
        connection.timeout = seconds
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        return connection

    def _release(self, connection: http.client.HTTPConnection, *, reusable: bool) -> None:
        with self._lock:
            if reusable and len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


class _Final(Unavailable):
    """No further attempt can help."""
