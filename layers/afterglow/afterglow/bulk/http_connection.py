"""One connection to an HTTP server, ours, Chroma's or Qdrant's: JSON requests, retries, its errors as the library's.

Every request may be sent twice: it is retried after a lost response, 429, 502, 503 and 504. So a client also waits for
a server that restarts.
"""

import base64
import http.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from afterglow.errors import (
    AfterglowError,
    AlreadyExists,
    Forbidden,
    InternalError,
    InvalidArgument,
    NotFound,
    PositionExpired,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from afterglow.settings import System

_TIMEOUT_SECONDS = 300.0
_KEY_HEADER = "X-Chroma-Token"
_ATTEMPTS = 8
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0
_RETRIED = {429, 502, 503, 504}
_ERRORS: dict[int, type[AfterglowError]] = {
    400: InvalidArgument,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: AlreadyExists,
    413: TooLarge,
    422: InvalidArgument,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful response: its headers, with their names in lower case, and its body."""

    headers: Mapping[str, str]
    content: bytes


class HttpConnection:
    """A connection to the server at `url`; for one thread."""

    def __init__(
        self,
        url: str,
        system: System,
        token: str = "",
        is_running: Callable[[], bool] = lambda: True,
        key_header: str = _KEY_HEADER,
    ) -> None:
        """The part of the url before an `@` is the credential: a user with a password, or a token.

        `is_running`: whether the server can respond at all; if not, nothing is retried. Raises InvalidArgument.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise InvalidArgument(f"expected a url like http://127.0.0.1:8000, got {url!r}")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self._system = system
        self._prefix = parts.path.rstrip("/")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS)
        self._reached = False
        self._is_running = is_running
        self._headers = {
            "Content-Type": "application/json",
            **_credentials(parts.username, parts.password, token, key_header),
        }

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The decoded response to one request. Raises the error of the server's status, and Unavailable."""
        content = self.exchange(method, path, body).content
        return orjson.loads(content) if content else None

    def exchange(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """The response to one request. Raises the error of the server's status, and Unavailable."""
        payload = None if body is None else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        for attempt in range(_ATTEMPTS):
            is_last = attempt == _ATTEMPTS - 1
            pause = min(_FIRST_PAUSE_SECONDS * 2**attempt, _LONGEST_PAUSE_SECONDS)
            try:
                self._connection.request(method, self._prefix + path, payload, self._headers)
                response = self._connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                problem = f"no response from {self.url}: {str(error) or type(error).__name__}"
                # Before the first response, a wrong url is more likely than a server that restarts.
                is_last = is_last or not self._reached or not self._is_running()
            else:
                self._reached = True
                if response.status < 400:
                    return Answer({name.lower(): value for name, value in response.headers.items()}, content)
                problem = f"{self.url} answered {response.status}: {_error_message(content)}"
                if response.status == HTTPStatus.GONE:
                    raise PositionExpired(problem, int(response.headers.get("afterglow-oldest-position") or 0))
                if response.status not in _RETRIED:
                    raise _ERRORS.get(response.status, InternalError)(problem)
                wait = _seconds(response.headers.get("retry-after"))
                unavailable = Unavailable(problem, wait)
                if response.status == HTTPStatus.SERVICE_UNAVAILABLE and not unavailable.is_passing:
                    raise unavailable
                pause = max(pause, wait)
            if is_last:
                raise Unavailable(problem)
            self._system.sleep(pause)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _credentials(user: str | None, password: str | None, token: str, key_header: str) -> dict[str, str]:
    if user and password:
        pair = f"{unquote(user)}:{unquote(password)}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    secret = unquote(user or password or "") or token
    return {key_header: secret} if secret else {}


def _error_message(content: bytes) -> str:
    try:
        return str(orjson.loads(content)["message"])
    except (KeyError, TypeError, ValueError):
        return content[:500].decode(errors="replace")


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 0.0
