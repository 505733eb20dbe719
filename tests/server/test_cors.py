"""Cross-origin requests: preflights without credentials, origins that may read responses, and the settings."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from afterglow.auth import Role
from afterglow.server.cors import with_cors
from afterglow.settings import Settings, from_environment
from tests.wire.auth.auth_fixture import V2, AppResponse, AuthFixture, auth_fixture

ORIGIN = "https://example.org"
COLLECTIONS = f"{V2}/tenants/default_tenant/databases/default_database/collections"


@contextmanager
def server(origins: str) -> Iterator[AuthFixture]:
    settings = Settings(auth="keys", auth_attempts_per_minute=0, cors_allow_origins=origins)
    with auth_fixture(settings) as fixture:
        fixture._app = with_cors(fixture._app, settings)
        yield fixture


def preflight(fixture: AuthFixture, origin: str, method: str = "POST", path: str = COLLECTIONS) -> AppResponse:
    headers = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", "content-type,x-chroma-token"),
    ]
    return fixture.ask("OPTIONS", path, headers=headers)


def send(fixture: AuthFixture, headers: Iterable[tuple[str, str]], key: str | None = None) -> AppResponse:
    return fixture.ask("GET", COLLECTIONS, key=key, headers=headers)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_preflight_needs_no_credentials(method: str) -> None:
    with server(f"{ORIGIN}, http://localhost:3000") as fixture:
        response = preflight(fixture, ORIGIN, method)
        assert response.status == 200
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert method in response.headers["access-control-allow-methods"]
        assert "x-chroma-token" in response.headers["access-control-allow-headers"]
        assert response.headers["access-control-allow-credentials"] == "true"
        assert preflight(fixture, "http://localhost:3000").status == 200
        refused = preflight(fixture, "https://example.com")
        assert "access-control-allow-origin" not in refused.headers


def test_responses_and_errors_can_be_read() -> None:
    with server(ORIGIN) as fixture:
        response = send(fixture, [("origin", ORIGIN)], fixture.key(Role.READER, None))
        assert (response.status, response.headers["access-control-allow-origin"]) == (200, ORIGIN)
        exposed = response.headers["access-control-expose-headers"]
        assert {"afterglow-usage", "afterglow-log-position", "chroma-trace-id"} <= set(exposed.split(", "))
        refused = send(fixture, [("origin", ORIGIN)])
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
        foreign = send(fixture, [("origin", "https://example.com")], fixture.key(Role.READER, None))
        assert "access-control-allow-origin" not in foreign.headers


def test_any_origin_has_no_stored_credentials() -> None:
    with server("*") as fixture:
        assert preflight(fixture, ORIGIN).headers["access-control-allow-origin"] == "*"
        response = send(fixture, [("origin", ORIGIN), ("cookie", "a=b")], fixture.key(Role.READER, None))
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers


def test_without_the_setting_nothing_changes() -> None:
    with server("") as fixture:
        assert preflight(fixture, ORIGIN).status == 405
        response = send(fixture, [("origin", ORIGIN)], fixture.key(Role.READER, None))
        assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("environment", "origins"),
    [
        ({}, ()),
        ({"AFTERGLOW_CORS_ALLOW_ORIGINS": "*"}, ("*",)),
        ({"AFTERGLOW_CORS_ALLOW_ORIGINS": f" {ORIGIN} , http://[::1]:3000,"}, (ORIGIN, "http://[::1]:3000")),
        ({"CHROMA_CORS_ALLOW_ORIGINS": '["*"]'}, ("*",)),
        ({"CHROMA_CORS_ALLOW_ORIGINS": f'["{ORIGIN}", "http://a"]'}, (ORIGIN, "http://a")),
        ({"CHROMA_CORS_ALLOW_ORIGINS": f"{ORIGIN},http://a"}, (ORIGIN, "http://a")),
        ({"CHROMA_SERVER_CORS_ALLOW_ORIGINS": '["http://a"]'}, ("http://a",)),
        ({"CHROMA_CORS_ALLOW_ORIGINS": '["*"]', "AFTERGLOW_CORS_ALLOW_ORIGINS": "http://a"}, ("http://a",)),
        ({"CHROMA_CORS_ALLOW_ORIGINS": "[]"}, ()),
    ],
)
def test_settings(environment: dict[str, str], origins: tuple[str, ...]) -> None:
    assert from_environment(environment).cors_origins() == origins


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AFTERGLOW_CORS_ALLOW_ORIGINS", "example.org"),
        ("AFTERGLOW_CORS_ALLOW_ORIGINS", "https://example.org/"),
        ("AFTERGLOW_CORS_ALLOW_ORIGINS", "https://a https://b"),
        ("CHROMA_CORS_ALLOW_ORIGINS", "[1]"),
        ("CHROMA_CORS_ALLOW_ORIGINS", '["https://a"'),
    ],
)
def test_invalid_settings(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="CORS_ALLOW_ORIGINS must be"):
        from_environment({name: text})
