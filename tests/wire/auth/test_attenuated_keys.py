"""Attenuated keys over HTTP: as a stored key of the same rights, and what only stored keys may do."""

import re
from collections.abc import Iterator

import pytest

from afterglow.auth import Role
from afterglow.auth.attenuation import Caveat, attenuate
from tests.wire.auth.auth_fixture import V1, V2, AuthFixture, auth_fixture

HOME = f"{V2}/tenants/default_tenant"
COLLECTIONS = f"{HOME}/databases/default_database/collections"
CHANGE = {"operation": "update"}
ANNS = {"ids": ["a", "b"], "metadatas": [{"n": 1}, {"n": 2}]}
BOBS = {"ids": ["a"], "metadatas": [{"owner": "bob"}]}
TOKEN = re.compile(rb'"read_token":[0-9]+')
"""It differs in every response."""
OURS = (("books", b'{"owner":"ann"}'),)


@pytest.fixture(scope="module")
def fixture() -> Iterator[AuthFixture]:
    """The collections books, with a record of ann's and one of bob's, and films."""
    with auth_fixture() as made:
        admin = made.key(Role.ADMIN, None)
        created = made.ask("POST", COLLECTIONS, {"name": "books"}, admin).json()["id"]
        made.ask("POST", COLLECTIONS, {"name": "films"}, admin)
        records = {"ids": ["a", "b"], "embeddings": [[1], [2]], "metadatas": [{"owner": "ann"}, {"owner": "bob"}]}
        assert made.ask("POST", f"{COLLECTIONS}/{created}/add", records, admin).status == 201
        yield made


def test_it_answers_as_a_stored_key_of_the_same_rights(fixture: AuthFixture) -> None:
    stored = fixture.engine.keys.create(Role.WRITER, "default_tenant", None, "", OURS)[0]
    attenuated = attenuate(fixture.key(Role.ADMIN, None), Caveat(Role.WRITER, "default_tenant", wheres=OURS))
    books, films = (
        fixture.engine.get_collection("default_tenant", "default_database", name).id for name in ("books", "films")
    )
    for method, path, body in (
        ("GET", COLLECTIONS, None),
        ("POST", f"{COLLECTIONS}/{books}/get", {}),
        ("POST", f"{COLLECTIONS}/{books}/query", {"query_embeddings": [[2]]}),
        ("POST", f"{COLLECTIONS}/{books}/upsert", {"ids": ["b"], "embeddings": [[3]], "metadatas": [{"owner": "bob"}]}),
        ("POST", f"{COLLECTIONS}/{films}/get", {}),
        ("POST", f"{COLLECTIONS}/{books}/conditional/query", {"query_embeddings": [[2]]}),
        ("POST", f"{COLLECTIONS}/{books}/conditional/get", {}),
        ("POST", f"{COLLECTIONS}/{books}/conditional/commit", {"operations": [{**CHANGE, "payload": ANNS}]}),
        ("POST", f"{COLLECTIONS}/{books}/conditional/commit", {"operations": [{**CHANGE, "payload": BOBS}]}),
        ("POST", f"{V1}/collections/{books}/get", {}),
        ("GET", f"{COLLECTIONS}/{books}/changes", None),
        ("POST", f"{V2}/tenants", {"name": "another"}),
        ("GET", f"{HOME}/keys", None),
    ):
        first, second = (fixture.ask(method, path, body, key) for key in (stored, attenuated))
        assert (first.status, TOKEN.sub(b"", first.body)) == (second.status, TOKEN.sub(b"", second.body))


def test_it_creates_no_keys(fixture: AuthFixture) -> None:
    attenuated = attenuate(fixture.key(Role.ADMIN, "default_tenant"), Caveat(expires=4_000_000_000))
    assert fixture.ask("GET", f"{HOME}/keys", None, attenuated).status == 200
    response = fixture.ask("POST", f"{HOME}/keys", {"role": "reader"}, attenuated)
    assert (response.status, response.json()["message"]) == (
        403,
        "an attenuated key creates no keys: they would outlive it",
    )


def test_filters_that_cannot_be_read_are_refused_clearly(fixture: AuthFixture) -> None:
    for where in (b'{"$and":1}', b"{}", b"[]"):
        attenuated = attenuate(fixture.key(Role.ADMIN, None), Caveat(wheres=(("*", where),)))
        response = fixture.ask("GET", COLLECTIONS, None, attenuated)
        assert response.status == 403
        assert response.json()["message"].startswith("the attenuated key is of no use: the filters of a key cannot be")


def test_expired(fixture: AuthFixture) -> None:
    attenuated = attenuate(fixture.key(Role.ADMIN, None), Caveat(expires=1))
    assert fixture.ask("GET", COLLECTIONS, None, attenuated).status == 401
