"""Error bodies: each has a name and a message, and the name tells a client whether to retry."""

import typing

import orjson
import pytest

from afterglow import errors as library_errors
from afterglow.api import responses
from afterglow.api.http import errors
from afterglow.errors import AfterglowError

NAMES = set(typing.get_args(responses.ErrorResponse.model_fields["error"].annotation))


def error_of(kind: type[AfterglowError]) -> AfterglowError:
    if kind is library_errors.WrongDimension:
        return library_errors.WrongDimension(2, 3)
    if kind is library_errors.UnsupportedFormat:
        return library_errors.UnsupportedFormat("a segment", 9, 3)
    return kind("a message")


@pytest.mark.parametrize("kind", list(errors.TABLE), ids=lambda kind: kind.__name__)
def test_every_body_has_a_name_and_a_message(kind: type[AfterglowError]) -> None:
    response = errors.client_error(error_of(kind), "GET", "/", "0" * 32)
    body = orjson.loads(response.body)
    assert set(body) == {"error", "message"}
    assert body["error"] in NAMES
    assert body["message"]


def test_every_status_429_is_named_backoff() -> None:
    assert {name for status, name in errors.TABLE.values() if status == 429} == {"Backoff"}
    response = errors.client_error(library_errors.Busy("too many", 2.5), "POST", "/", "0" * 32)
    assert orjson.loads(response.body) == {"error": "Backoff", "message": "too many"}
    assert (b"retry-after", b"3") in response.headers


def test_an_unexpected_error_has_both_too() -> None:
    body = orjson.loads(errors.server_error(ValueError("secret"), "GET", "/", "0" * 32).body)
    assert set(body) == {"error", "message"}
    assert "secret" not in body["message"]
