"""Whatever a body holds, the answer is a success or the client's own fault, never the server's."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from afterglow.api.http import errors
from afterglow.api.http.handler import AppContext, Deferred, Feed, Request
from afterglow.api.http.route import Route
from afterglow.api.v2.routes import ROUTES
from afterglow.auth import FULL_ACCESS
from afterglow.deployment.local import open_local
from afterglow.errors import AfterglowError
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System

pytestmark = pytest.mark.slow

LOADED = [route.loaded() for route in ROUTES]
BY_HANDLER = {f"{route.handler.__module__}.{route.handler.__name__}": route for route in LOADED if route.request}
PATH = {"tenant": "default_tenant", "database": "default_database", "function_name": "f", "import_id": "0"}

numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**63, -(2**63), 2**32, 2**32 - 1, 1e39, -1e39, 1e308, 0.1]),
)
WORDS = """
ids embeddings metadatas documents uris where where_document include limit offset n_results query_embeddings
name new_name metadata new_metadata configuration new_configuration schema get_or_create hnsw spann space
embedding_function type config defaults keys string int float_list vector_index enabled #embedding #document
$and $or $eq $ne $gt $in $nin $contains $not_contains $regex indices values #type searches filter rank
group_by select resource_name function_id output_collection params delete_output cmek gcp chroma:document a b
"""
names = st.sampled_from(re.findall(r"\S+", WORDS)) | st.text(max_size=4)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    names,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(["", "\x00", "l2", "known", "legacy", "metadatas", "AACAPw==", "AACAf w==", "(", "a{1000}"]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
vectors = st.lists(
    st.lists(numbers, max_size=3) | st.sampled_from(["AACAPw==", "AACAPwAAgD8=", "AAA", "", "é"]), max_size=3
)
records = st.dictionaries(names, scalars | st.lists(scalars, max_size=3), max_size=3)
whole_bodies = st.fixed_dictionaries(
    {},
    optional={
        "ids": st.lists(st.sampled_from("abc"), max_size=3) | values,
        "embeddings": vectors | values,
        "query_embeddings": vectors | values,
        "metadatas": st.lists(records | st.none(), max_size=3) | values,
        "documents": st.lists(st.text(max_size=3) | st.none(), max_size=3) | values,
        "where": st.dictionaries(names, values, max_size=2) | values,
        "where_document": st.dictionaries(names, values, max_size=2) | values,
        "include": st.lists(st.sampled_from(["documents", "embeddings", "distances", "x"]), max_size=3) | values,
        "limit": numbers | values,
        "n_results": st.integers(0, 5) | values,
        "name": st.sampled_from(["abc", "abcd", "ab", "a..b"]) | values,
        "new_name": st.sampled_from(["abc", "abcd", "ab"]) | values,
        "get_or_create": st.just(True) | values,
        "metadata": records | values,
        "new_metadata": records | values,
        "configuration": st.fixed_dictionaries({}, optional={"hnsw": records, "embedding_function": values}) | values,
        "new_configuration": st.fixed_dictionaries({}, optional={"hnsw": records}) | values,
        "schema": st.fixed_dictionaries({"defaults": values, "keys": st.dictionaries(names, values, max_size=2)})
        | values,
        "searches": st.lists(st.dictionaries(names, values, max_size=3), max_size=2) | values,
        "resource_name": st.just("r"),
    },
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppContext]:
    given_settings, system = Settings(), System()
    engine = start_engine(open_local(tmp_path_factory.mktemp("data"), system), given_settings, system)
    yield AppContext(engine, given_settings, system, allow_reset=False, threads=2)
    engine.close()


@pytest.fixture(scope="module")
def collection_id(service: AppContext) -> str:
    from afterglow.catalog import schema

    stored = schema.reconcile(None, None, None)
    return str(service.engine.create_collection("default_tenant", "default_database", "fuzzed", None, stored).id)


JSON = b"application/json"


def judge(service: AppContext, route: Route, collection_id: str, body: bytes, query: bytes = b"") -> None:
    """Serve one request; the answer must be JSON, and an error the client's."""
    call = Request({**PATH, "collection_id": collection_id}, query, body, grant=FULL_ACCESS)
    try:
        done = route.handler(service, call)
        response = done.work() if isinstance(done, Deferred) else done.first if isinstance(done, Feed) else done
    except AfterglowError as error:
        failure = error
    else:
        for document in response.body.splitlines() if response.content_type != JSON else [response.body]:
            orjson.loads(document)
        return
    status = errors.client_error(failure, route.method, route.path, "0" * 32).status
    assert status is not None
    assert status < 500 or status == 501, failure.message


@pytest.mark.parametrize("name", BY_HANDLER)
@given(body=whole_bodies | values)
@example(body={"query_embeddings": [[1e39]], "n_results": 4294967295})
@example(body={"ids": ["a"], "embeddings": [[0.5]], "metadatas": [{"k": [1, 2**63]}]})
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_json(service: AppContext, collection_id: str, name: str, body: Any) -> None:
    judge(service, BY_HANDLER[name], collection_id, orjson.dumps(body))


@pytest.mark.parametrize("name", BY_HANDLER)
@given(body=st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_bytes(service: AppContext, collection_id: str, name: str, body: bytes) -> None:
    judge(service, BY_HANDLER[name], collection_id, body)


@pytest.mark.parametrize("name", BY_HANDLER)
@pytest.mark.parametrize(
    "field", ["where", "where_document", "metadatas", "metadata", "schema", "configuration", "rank"]
)
def test_deep_json(service: AppContext, collection_id: str, name: str, field: str) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"$and":[', b"]}"), (b'{"a":', b"}")):
        for depth in (200, 511, 5_000):
            deep = opening * depth + b"1" + closing * depth
            body = (
                b'{"ids":["a"],"embeddings":[[1]],"query_embeddings":[[1]],"name":"deep","searches":[{"filter":%b}],'
                % deep
            )
            judge(service, BY_HANDLER[name], collection_id, body + b'"%b":%b}' % (field.encode(), deep))


@given(query=st.binary(max_size=30))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_query_string(service: AppContext, collection_id: str, query: bytes) -> None:
    for route in ROUTES:
        if route.query:
            judge(service, route, collection_id, b"", b"limit=" + query)
            judge(service, route, collection_id, b"", query)
