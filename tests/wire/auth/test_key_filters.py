"""Keys with filters: for their holder, everything outside the filter does not exist.

The differential test makes the same requests with one key in two deployments, in one of which another key's holder
writes too, and compares the responses, whole.
"""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.api.v2.routes import ROUTES
from afterglow.auth import Permission, Role
from afterglow.collection.replica.replica import Replica
from afterglow.jobs.indexer import index
from tests.wire.auth.auth_fixture import MOMENT, V1, V2, AppResponse, AuthFixture, auth_fixture

HOME = f"{V2}/tenants/default_tenant/databases/default_database"
COLLECTIONS = f"{HOME}/collections"
WHERE = {"a": ("*", b'{"owner":"a"}'), "b": ("*", b'{"owner":"b"}')}
SCHEMA = {
    "defaults": {},
    "keys": {"words": {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": {"bm25": True}}}}},
}
ALL = ["documents", "metadatas", "embeddings", "distances", "uris"]


class Deployment:
    """A deployment with a key for each of two owners, and one collection at a time."""

    def __init__(self, fixture: AuthFixture) -> None:
        self.fixture = fixture
        self.admin = fixture.key(Role.ADMIN, None)
        self.keys = {
            owner: fixture.engine.keys.create(Role.WRITER, "default_tenant", None, "", (where,))[0]
            for owner, where in WHERE.items()
        }
        self.id = ""

    def begin(self, name: str, metadata: dict[str, Any] | None) -> None:
        """A new collection, whose dimension is known."""
        body = {"name": name, "schema": SCHEMA, "metadata": metadata}
        self.id = self.fixture.ask("POST", COLLECTIONS, body, self.admin).json()["id"]
        record = {"ids": ["first"], "embeddings": [[0, 0]], "metadatas": [{"owner": "c"}]}
        assert self.fixture.ask("POST", f"{COLLECTIONS}/{self.id}/add", record, self.admin).status == 201

    def end(self, name: str) -> None:
        assert self.fixture.ask("DELETE", f"{COLLECTIONS}/{name}", None, self.admin).status == 200

    def flush(self) -> None:
        stores, collection = self.fixture.engine.stores, self.fixture.engine.get_collection
        found = collection("default_tenant", "default_database", "books")
        index(stores, Replica.for_indexer(stores, found.id), found.id, idle=True)

    def ask(self, owner: str, method: str, operation: str, body: Any = None) -> AppResponse:
        path = operation if operation.startswith("/") else f"{COLLECTIONS}/{self.id}/{operation}"
        return self.fixture.ask(method, path, body, self.keys[owner])


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Deployment, Deployment]]:
    with auth_fixture() as shared, auth_fixture() as alone:
        yield Deployment(shared), Deployment(alone)


def sparse(*indices: int) -> dict[str, Any]:
    return {"#type": "sparse_vector", "indices": list(indices), "values": [1.0] * len(indices)}


numbers = st.integers(0, 3)
vectors = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=2)
words = st.sets(numbers, min_size=1).map(lambda indices: sparse(*sorted(indices)))


def metadata(owner: str, owners: Any) -> st.SearchStrategy[dict[str, Any]]:
    fields = {"owner": owners, "n": numbers, "words": words}
    optional = {
        "kind": st.sampled_from(["x", "y"]),
        f"private-{owner}": st.sampled_from([True, "s", ["t"]]),
        "until": st.sampled_from([MOMENT - 10, MOMENT + 50, MOMENT + 500]),
    }
    return st.fixed_dictionaries(fields, optional=optional)


def ids(owner: str) -> st.SearchStrategy[list[str]]:
    return st.lists(numbers.map(lambda number: f"{owner}{number}"), min_size=1, max_size=3)


@st.composite
def writes(draw: st.DrawFn, owner: str) -> tuple[str, str, dict[str, Any]]:
    operation = draw(st.sampled_from(["add", "upsert", "update", "delete", "delete where"]))
    if operation == "delete where":
        return "POST", "delete", {"where": {"n": draw(numbers)}}
    # The ids of others: what holds for them is what holds for unknown ones.
    foreign = ids("b") if owner == "a" and operation in ("update", "delete") else ids(owner)
    names = draw(st.one_of(ids(owner), foreign))
    if operation == "delete":
        return "POST", "delete", {"ids": names}
    # Now and then one record would leave the filter, which refuses the whole write.
    owners = st.just(owner) if draw(st.integers(0, 5)) else st.sampled_from(["a", "b"])
    metadatas: Any = st.lists(metadata(owner, owners), min_size=len(names), max_size=len(names))
    if operation == "update":
        changes = st.fixed_dictionaries({}, optional={"n": numbers, "kind": st.just(None), "owner": st.just(owner)})
        metadatas = st.lists(st.one_of(st.none(), changes), min_size=len(names), max_size=len(names))
    body = {
        "ids": names,
        "embeddings": draw(st.lists(vectors, min_size=len(names), max_size=len(names))),
        "metadatas": draw(metadatas),
        "documents": [draw(st.sampled_from(["red fox", "blue fox", "red hen"])) for _ in names],
    }
    return "POST", operation, body


wheres: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        {"n": {"$gte": 2}},
        {"owner": {"$ne": "a"}},
        {"kind": {"$nin": ["x"]}},
        {"private-b": True},
        {"#document": {"$contains": "red"}},
        {"$or": [{"owner": "b"}, {"n": 1}]},
        {"bad": {}},
    ]
)


@st.composite
def reads(draw: st.DrawFn) -> tuple[str, str, Any]:
    operation = draw(st.sampled_from(["get", "query", "search", "count", "distinct", "min_max", "collections", "no"]))
    where = draw(wheres)
    names = draw(st.one_of(st.none(), ids("a"), ids("b")))
    selection = {"ids": names, "where": where}
    match operation:
        case "get":
            return "POST", "get", {**selection, "include": ALL, "limit": draw(numbers), "offset": draw(numbers)}
        case "query":
            asked = draw(st.lists(vectors, min_size=1, max_size=2))
            return "POST", "query", {**selection, "include": ALL, "query_embeddings": asked, "n_results": 4}
        case "search":
            knn = draw(
                st.one_of(
                    vectors.map(lambda one: {"query": one, "limit": 3}),
                    words.map(lambda one: {"query": one, "key": "words", "limit": 3}),
                )
            )
            ranks = [None, {"$knn": {**knn, "default": 9.0}}, {"$knn": knn}]
            groups = {"keys": ["kind"], "aggregate": {"$min_k": {"keys": ["#score"], "k": 1}}}
            rank = draw(st.sampled_from(ranks))
            search = {
                "filter": where,
                "rank": rank,
                "group_by": groups if rank and draw(st.booleans()) else None,
                "select": {"keys": ["#score", "#metadata", "#document"]},
            }
            level = draw(st.sampled_from(["index_and_wal", "index_only"]))
            return "POST", "search", {"searches": [search], "read_level": level}
        case "count":
            counts = [
                ("GET", "count", None),
                ("GET", "count?read_level=index_only", None),
                ("POST", "count", selection),
            ]
            chosen: tuple[str, str, Any] = draw(st.sampled_from(counts))
            return chosen
        case "distinct" | "min_max":
            key = draw(st.sampled_from(["owner", "n", "private-b"]))
            return "POST", operation, {**selection, "key": key}
        case "collections":
            paths = [COLLECTIONS, f"{COLLECTIONS}/books", f"{HOME}/collections_count", f"{V2}/auth/identity"]
            return "GET", draw(st.sampled_from(paths)), None
        case _:
            refused = [
                ("GET", "indexing_status", None),
                ("GET", "fork_count", None),
                ("GET", "count?at=1", None),
                ("POST", "get", {"explain": True}),
                ("POST", "query", {"query_embeddings": [[1]]}),
                ("POST", COLLECTIONS, {"name": "books", "get_or_create": True}),
                ("POST", COLLECTIONS, {"name": "more"}),
                ("DELETE", f"{COLLECTIONS}/books", None),
                ("POST", "add", {"ids": ["a1"], "embeddings": [[1, 2, 3]], "metadatas": [{"owner": "a"}]}),
            ]
            request: tuple[str, str, Any] = draw(st.sampled_from(refused))
            return request


steps = st.one_of(
    writes("a").map(lambda request: ("a", request)),
    writes("b").map(lambda request: ("b", request)),
    reads().map(lambda request: ("a", request)),
    st.sampled_from([("flush", None), ("later", None)]),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(steps, min_size=5, max_size=25), st.lists(reads(), min_size=4, max_size=10), st.booleans())
def test_others_change_nothing(
    pair: tuple[Deployment, Deployment], requests: list[Any], last: list[Any], has_ttl: bool
) -> None:
    shared, alone = pair
    for deployment in pair:
        deployment.begin("books", {"afterglow:ttl_key": "until"} if has_ttl else None)
    try:
        for who, request in [*requests, *(("a", read) for read in last)]:
            if who == "later":
                shared.fixture.later(20)
                alone.fixture.later(20)
            elif who == "flush":
                shared.flush()
                alone.flush()
            elif who == "b":
                shared.ask("b", *request)
            else:
                one, other = shared.ask("a", *request), alone.ask("a", *request)
                assert comparable(shared, one) == comparable(alone, other), request
    finally:
        for deployment in pair:
            deployment.end("books")


def comparable(deployment: Deployment, response: AppResponse) -> tuple[int, bytes, set[str]]:
    """What must not depend on others: the status, the body but for the ids of collection and key, the headers."""
    body = response.body.replace(deployment.id.encode(), b"<id>").replace(deployment.keys["a"][2:14].encode(), b"<key>")
    return response.status, body, set(response.headers)


@pytest.fixture
def shared(pair: tuple[Deployment, Deployment]) -> Iterator[Deployment]:
    """One deployment with a record of each owner."""
    deployment = pair[0]
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
    ):
        responses = [
            shared.fixture.ask(method, f"{COLLECTIONS}/{name}/{operation}", body, stranger)
            for name in (shared.id, missing)
        ]
        assert [response.status for response in responses] == [404, 404], operation
        assert responses[0].body.replace(shared.id.encode(), missing.encode()) == responses[1].body
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
