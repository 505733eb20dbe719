"""A deployment with a key for each of two owners, and their requests (strategies of hypothesis)."""

from typing import Any

import orjson
from hypothesis import strategies as st

from afterglow.auth import Role
from afterglow.auth.attenuation import Caveat, attenuate
from afterglow.collection.replica.replica import Replica
from afterglow.jobs.indexer import index
from tests.wire.auth.auth_fixture import MOMENT, V1, V2, AppResponse, AuthFixture

HOME = f"{V2}/tenants/default_tenant/databases/default_database"
COLLECTIONS = f"{HOME}/collections"
WHERE = {"a": ("*", b'{"owner":"a"}'), "b": ("*", b'{"owner":"b"}')}
SCHEMA = {
    "defaults": {},
    "keys": {"words": {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": {"bm25": True}}}}},
}
COMMIT, READ = "conditional/commit", "conditional/"
TOKEN = b'"<token>"'
ALL = ["documents", "metadatas", "embeddings", "distances", "uris"]


class Deployment:
    """A deployment with a key for each of two owners, and one collection at a time.

    `attenuated`: the holder of a key without filters has made the owners' keys.
    """

    def __init__(self, fixture: AuthFixture, *, attenuated: bool = False) -> None:
        self.fixture = fixture
        self.admin = fixture.key(Role.ADMIN, None)
        self.keys: dict[str, str] = {}
        for owner, where in WHERE.items():
            stored = None if attenuated else (where,)
            key = fixture.engine.keys.create(Role.WRITER, "default_tenant", None, "", stored)[0]
            self.keys[owner] = attenuate(key, Caveat(wheres=(where,))) if attenuated else key
        self.id = ""
        self.tokens: dict[str, int | None] = {}

    def begin(self, name: str, metadata: dict[str, Any] | None) -> None:
        """A new collection, whose dimension is known."""
        self.tokens = {}
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
        """One request; an operation is a path, or one of the collection's routes, of v1 if it is said.

        A body's `<token>` is that of the owner's transaction, `<id>` the collection.
        """
        version, _, name = operation.rpartition(" ")
        path = f"{V1 + '/collections' if version == 'v1' else COLLECTIONS}/{self.id}/{name}"
        path = operation if operation.startswith("/") else path
        sent = body
        if READ in path:
            text = orjson.dumps(body).replace(TOKEN, orjson.dumps(self.tokens.get(owner)))
            sent = text.replace(b"<id>", self.id.encode())
        response = self.fixture.ask(method, path, sent, self.keys[owner])
        if COMMIT in path:
            self.tokens[owner] = None
        elif READ in path and response.status == 200:
            self.tokens[owner] = response.json()["read_token"]
        return response


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


versions = st.sampled_from(["", "v1 "])


def ids(owner: str) -> st.SearchStrategy[list[str]]:
    return st.lists(numbers.map(lambda number: f"{owner}{number}"), min_size=1, max_size=3)


@st.composite
def writes(draw: st.DrawFn, owner: str) -> tuple[str, str, dict[str, Any]]:
    operation = draw(st.sampled_from(["add", "upsert", "update", "delete", "delete where"]))
    version = draw(versions)
    if operation == "delete where":
        return "POST", version + "delete", {"where": {"n": draw(numbers)}}
    # The ids of others: what holds for them is what holds for unknown ones.
    foreign = ids("b") if owner == "a" and operation in ("update", "delete") else ids(owner)
    names = draw(st.one_of(ids(owner), foreign))
    if operation == "delete":
        return "POST", version + "delete", {"ids": names}
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
    return "POST", version + operation, body


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
            page = {"limit": draw(numbers), "offset": draw(numbers)}
            return "POST", draw(versions) + "get", {**selection, "include": ALL, **page}
        case "query":
            asked = draw(st.lists(vectors, min_size=1, max_size=2))
            return (
                "POST",
                draw(versions) + "query",
                {**selection, "include": ALL, "query_embeddings": asked, "n_results": 4},
            )
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
                ("GET", "v1 count", None),
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
            paths += [f"{V1}/collections", f"{V1}/collections/books", f"{V1}/count_collections"]
            paths += [f"{V1}/databases/default_database", f"{V1}/tenants/default_tenant"]
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
                ("POST", f"{V1}/collections", {"name": "books", "get_or_create": True}),
                ("POST", f"{V1}/collections", {"name": "more"}),
                ("POST", "v1 query", {"query_embeddings": [[1]]}),
                ("DELETE", f"{COLLECTIONS}/books", None),
                ("POST", "add", {"ids": ["a1"], "embeddings": [[1, 2, 3]], "metadatas": [{"owner": "a"}]}),
            ]
            request: tuple[str, str, Any] = draw(st.sampled_from(refused))
            return request


@st.composite
def transaction_reads(draw: st.DrawFn) -> tuple[str, str, Any]:
    names = draw(st.one_of(st.none(), ids("a"), ids("b")))
    selection = {"ids": names, "where": draw(wheres), "read_token": "<token>"}
    match draw(st.sampled_from(["get", "query", "search"])):
        case "get":
            return "POST", READ + "get", {**selection, "include": ALL[:3]}
        case "query":
            asked = {"query_embeddings": [draw(vectors)], "n_results": draw(st.integers(1, 3)), "exact": True}
            return "POST", READ + "query", {**selection, "include": ALL, **asked}
        case _:
            search = {"filter": selection["where"], "rank": {"$knn": {"query": draw(vectors), "limit": 2}}}
            return "POST", READ + "search", {"searches": [search], "read_token": "<token>"}


@st.composite
def commits(draw: st.DrawFn, owner: str) -> tuple[str, str, Any]:
    operations = []
    for _ in range(draw(st.integers(0, 3))):
        _, operation, payload = draw(writes(owner))
        operations.append({"operation": operation.removeprefix("v1 "), "payload": payload})
    query = {"query_embedding": draw(vectors), "within": draw(st.sampled_from([None, 1.0, 4.0])), "where": draw(wheres)}
    part = {
        "read_token": draw(st.sampled_from(["<token>"] * 9 + [None, 3])),
        "read_ids": draw(st.one_of(st.just([]), ids("a"), ids("b"))),
        "read_filters": [{"where": draw(wheres)}] if draw(st.booleans()) else [],
        "read_queries": [query] if draw(st.booleans()) else [],
        "operations": sorted(operations, key=lambda one: "where" not in one["payload"]),
    }
    nonce = draw(st.sampled_from([None, "n" * 20]))
    if draw(st.booleans()):
        joint = {"collections": [{"collection_id": "<id>", **part}], "nonce": nonce}
        return "POST", f"{HOME}/{COMMIT}", joint
    return "POST", COMMIT, {**part, "nonce": nonce}
