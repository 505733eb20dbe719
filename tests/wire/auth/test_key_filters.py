"""Keys with filters: for their holder, everything outside the filter does not exist.

What others write changes none of the responses: test_others_change_nothing.
"""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from afterglow.api.v2.routes import ROUTES
from afterglow.auth import Permission, Role
from tests.wire.auth.auth_fixture import V1, auth_fixture
from tests.wire.auth.two_owners import COLLECTIONS, HOME, WHERE, Deployment


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with auth_fixture() as fixture:
        yield Deployment(fixture)


@pytest.fixture
def shared(deployment: Deployment) -> Iterator[Deployment]:
    """One deployment with a record of each owner."""
    deployment.begin("books", None)
    for owner in "ab":
        record = {"ids": [f"{owner}1"], "embeddings": [[1, 2]], "metadatas": [{"owner": owner, "n": 1}]}
        assert deployment.ask(owner, "POST", "add", record).status == 201
    yield deployment
    deployment.end("books")


def everything(deployment: Deployment) -> Any:
    path = f"{COLLECTIONS}/{deployment.id}/get"
    found = deployment.fixture.ask("POST", path, {"include": ["metadatas"]}, deployment.admin).json()
    return dict(zip(found["ids"], found["metadatas"], strict=True))


@pytest.mark.parametrize(
    ("operation", "record"),
    [
        ("add", {"ids": ["a2"], "metadatas": [{"owner": "b"}]}),
        ("add", {"ids": ["a2"]}),
        ("add", {"ids": ["a2", "a3"], "metadatas": [{"owner": "a"}, {"n": 1}]}),
        ("upsert", {"ids": ["a1"], "metadatas": [{"owner": "b"}]}),
        ("upsert", {"ids": ["a1"], "metadatas": [{"owner": None}]}),
        ("update", {"ids": ["a1"], "metadatas": [{"owner": ["a"]}]}),
        ("update", {"ids": ["a1", "a1"], "metadatas": [{"owner": "b"}, {"owner": "a"}]}),
        ("add", {"ids": ["b1"], "metadatas": [{"owner": "a"}]}),
        ("upsert", {"ids": ["b1"], "metadatas": [{"owner": "a"}]}),
    ],
)
def test_a_write_that_leaves_the_filter_is_refused(shared: Deployment, operation: str, record: Any) -> None:
    before = everything(shared)
    body = {**record, "embeddings": [[1, 2]] * len(record["ids"])}
    response = shared.ask("a", "POST", operation, body)
    assert (response.status, response.json()["error"]) == (403, "AuthError")
    assert response.json()["message"] == "Forbidden: the write does not match the filter of the key"
    assert everything(shared) == before


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("update", {"ids": ["b1", "a1"], "metadatas": [{"owner": "a"}, {"n": 2}]}),
        ("update", {"ids": ["b1", "a1"], "embeddings": [[5, 5], [6, 6]], "metadatas": [None, {"n": 2}]}),
        ("upsert", {"ids": ["a1"], "embeddings": [[1, 2]], "metadatas": [{"n": 2}]}),
    ],
)
def test_a_write_changes_only_what_is_inside(shared: Deployment, operation: str, body: Any) -> None:
    assert shared.ask("a", "POST", operation, body).status == 200
    assert everything(shared) == {"first": {"owner": "c"}, "a1": {"owner": "a", "n": 2}, "b1": {"owner": "b", "n": 1}}


def test_deletes_change_only_what_is_inside(shared: Deployment) -> None:
    response = shared.ask("a", "POST", "delete", {"ids": ["b1", "first"]})
    assert response.json() == {"deleted": 2}, "the number of ids, as for unknown ones"
    assert shared.ask("a", "POST", "delete", {"where": {"owner": {"$ne": "x"}}}).json() == {"deleted": 1}
    assert set(everything(shared)) == {"first", "b1"}


def test_the_vectors_of_a_partial_update(shared: Deployment) -> None:
    body = {"ids": ["b1", "a1"], "embeddings": [[5, 5], [6, 6]]}
    assert shared.ask("a", "POST", "update", body).status == 200
    path = f"{COLLECTIONS}/{shared.id}/get"
    found = shared.fixture.ask("POST", path, {"include": ["embeddings"]}, shared.admin).json()
    assert dict(zip(found["ids"], found["embeddings"], strict=True)) == {"first": [0, 0], "a1": [6, 6], "b1": [1, 2]}


def test_a_collection_without_a_filter_does_not_exist(shared: Deployment) -> None:
    keys = shared.fixture.engine.keys
    stranger = keys.create(Role.WRITER, "default_tenant", None, "", (("elsewhere", b'{"owner":"a"}'),))[0]
    missing = "00000000-0000-4000-8000-000000000001"
    for method, operation, body in (
        ("POST", "get", {}),
        ("GET", "count", None),
        ("POST", "query", {"query_embeddings": [[1, 2]]}),
        ("POST", "search", {"searches": [{}]}),
        ("POST", "add", {"ids": ["x"], "embeddings": [[1, 2]], "metadatas": [{"owner": "a"}]}),
        ("POST", "delete", {"ids": ["b1"]}),
        ("POST", "delete", {"where": {"n": 1}}),
        ("POST", "get", {"limit": "x"}),
    ):
        for base, status in ((COLLECTIONS, 422 if "limit" in (body or {}) else 404), (f"{V1}/collections", 400)):
            if operation == "search" and status == 400:
                continue
            responses = [
                shared.fixture.ask(method, f"{base}/{name}/{operation}", body, stranger)
                for name in (shared.id, missing)
            ]
            assert [response.status for response in responses] == [status, status], operation
            assert responses[0].body.replace(shared.id.encode(), missing.encode()) == responses[1].body
    assert shared.fixture.ask("GET", f"{V1}/collections", None, stranger).json() == []
    assert shared.fixture.ask("GET", COLLECTIONS, None, stranger).json() == []
    assert shared.fixture.ask("GET", f"{COLLECTIONS}/books", None, stranger).status == 404
    assert shared.fixture.ask("GET", f"{HOME}/collections_count", None, stranger).json() == 0
    assert "books" in everything_named(shared)


def everything_named(deployment: Deployment) -> set[str]:
    return {one["name"] for one in deployment.fixture.ask("GET", COLLECTIONS, None, deployment.admin).json()}


def test_a_reader_with_a_filter_does_not_write(shared: Deployment) -> None:
    reader = shared.fixture.engine.keys.create(Role.READER, "default_tenant", None, "", (WHERE["a"],))[0]
    path = f"{COLLECTIONS}/{shared.id}"
    assert shared.fixture.ask("POST", f"{path}/get", {}, reader).json()["ids"] == ["a1"]
    assert shared.fixture.ask("POST", f"{path}/delete", {"ids": ["a1"]}, reader).status == 403


def test_every_other_route_is_refused(shared: Deployment) -> None:
    for route in ROUTES:
        if route.restricted is None and route.permission is not Permission.PUBLIC:
            path = route.path.replace("{collection_id}", shared.id).replace("{tenant}", "default_tenant")
            path = path.replace("{database}", "default_database").replace("{", "").replace("}", "")
            path += "?tenant=default_tenant&database=default_database" if path.startswith(V1) else ""
            response = shared.ask("a", route.method, path, None if route.request is None else {})
            assert (response.status, response.json()["error"]) == (403, "AuthError"), route.path


def test_no_positions_and_no_usage(shared: Deployment) -> None:
    response = shared.ask("a", "POST", "get", {})
    assert "afterglow-log-position" not in response.headers
    admin = shared.fixture.ask("POST", f"{COLLECTIONS}/{shared.id}/get", {}, shared.admin)
    assert "afterglow-log-position" in admin.headers
    collection = shared.ask("a", "GET", f"{COLLECTIONS}/books").json()
    assert (collection["log_position"], collection["version"]) == (0, 0)
    assert set(collection["schema"]["keys"]) == {"#document", "#embedding", "words"}
    assert orjson.loads(admin.body)["ids"] == ["first", "a1", "b1"]
