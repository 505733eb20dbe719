"""Attached functions: attach, get, detach, and the statistics that stock clients read."""

import time
from typing import Any

import chromadb
import pytest
from chromadb.utils import statistics

from tests.wire.clients import ApiClient, CollectionClient, assert_error
from tests.wire.test_stock_client import session

COUNTER = {"name": "count", "function_id": "record_counter"}


def test_a_life(collection: CollectionClient, api_client: ApiClient) -> None:
    output = f"{collection.created['name']}-output"
    request = {**COUNTER, "output_collection": output, "params": {"a": 1}}
    attached = collection.post("functions/attach", **request)
    assert attached.status_code == 200
    function = attached.json()["attached_function"]
    assert attached.json() == {
        "attached_function": {"id": function["id"], "name": "count", "function_name": "record_counter"},
        "created": True,
    }
    assert collection.post("functions/attach", **request).json() == {"attached_function": function, "created": False}
    described = collection.get("functions/count").json()["attached_function"]
    created = api_client.request("GET", f"{collection.database}/collections/{output}").json()
    assert described == {
        **function,
        "input_collection_id": collection.created["id"],
        "output_collection": output,
        "output_collection_id": created["id"],
        "params": '{"a":1}',
        "tenant_id": "default_tenant",
        "database_id": "default_database",
        "completion_offset": 0,
        "min_records_for_invocation": 1,
    }
    assert collection.post("attached_functions/count/detach", delete_output=True).json() == {"success": True}
    assert_error(collection.get("functions/count"), 404, "Attached function not found")
    assert_error(collection.post("attached_functions/count/detach"), 404, "Attached function not found")
    assert api_client.request("GET", f"{collection.database}/collections/{output}").status_code == 404


def test_the_output_may_stay(collection: CollectionClient, api_client: ApiClient) -> None:
    output = f"{collection.created['name']}-output"
    assert collection.post("functions/attach", **COUNTER, output_collection=output).status_code == 200
    assert collection.post("attached_functions/count/detach", delete_output=False).json() == {"success": True}
    assert api_client.request("GET", f"{collection.database}/collections/{output}").status_code == 200
    again = collection.post("functions/attach", **COUNTER, output_collection=output)
    assert_error(again, 409, f"Output collection [{output}] already exists")


def test_a_revision_history_is_attached(collection: CollectionClient) -> None:
    output = f"{collection.created['name']}-revisions"
    request = {"name": "revisions", "function_id": "revision_history", "output_collection": output}
    attached = collection.post("functions/attach", **request, params={"version_key": "rev"}).json()
    assert attached["attached_function"]["function_name"] == "revision_history"
    assert collection.get("functions/revisions").json()["attached_function"]["params"] == '{"version_key":"rev"}'
    assert collection.post("attached_functions/revisions/detach", delete_output=True).json() == {"success": True}


def test_what_is_refused(collection: CollectionClient) -> None:
    request = {**COUNTER, "output_collection": f"{collection.created['name']}-output"}
    refused = collection.post("functions/attach", **{**request, "function_id": "dummy_async"})
    assert_error(refused, 404, "function not found")
    assert collection.post("functions/attach", **{**request, "name": ""}).status_code == 400
    assert collection.post("functions/attach", **{**request, "output_collection": "x"}).status_code == 400
    assert_error(collection.get("functions/count"), 404, "Attached function not found")
    assert collection.post("functions/attach", **request).status_code == 200
    changes: list[dict[str, Any]] = [
        {"name": "other"},
        {"function_id": "statistics"},
        {"output_collection": "another"},
        {"params": {}},
    ]
    for change in changes:
        response = collection.post("functions/attach", **{**request, **change})
        if change == {"params": {}}:
            assert response.json()["created"] is False
            continue
        assert_error(
            response,
            412,
            "collection already has an attached function: name=count, function=record_counter, "
            f"output_collection={request['output_collection']}",
        )


@pytest.mark.slow
def test_the_stock_client_reads_statistics(api_client: ApiClient) -> None:
    url = api_client.http.base_url
    with session(chromadb.HttpClient(url.host, url.port or 80)) as client:
        follow(client)


def follow(client: Any) -> None:
    collection = client.create_collection("with-statistics", embedding_function=None)
    name = "with-statistics-output"
    attached, created = statistics.attach_statistics_function(collection, name)
    assert (attached.function_name, created) == ("statistics", True)
    assert statistics.get_statistics_fn(collection).id == attached.id
    collection.add(
        ids=["a", "b"],
        embeddings=[[1.0], [2.0]],
        metadatas=[{"category": "A", "score": 10}, {"category": "B", "score": 10}],
    )
    expected: dict[str, Any] = {
        "statistics": {"category": {"A": {"count": 1}, "B": {"count": 1}}, "score": {"10": {"count": 2}}},
        "summary": {"total_count": 2},
    }
    _wait_for(lambda: statistics.get_statistics(collection, name) == expected)
    collection.update(ids=["b"], metadatas=[{"category": "A"}])
    collection.delete(ids=["a"])
    expected = {
        "statistics": {"category": {"A": {"count": 1}}, "score": {"10": {"count": 1}}},
        "summary": {"total_count": 1},
    }
    _wait_for(lambda: statistics.get_statistics(collection, name) == expected)
    assert statistics.get_statistics(collection, name, keys="score")["statistics"] == {"score": {"10": {"count": 1}}}
    assert statistics.detach_statistics_function(collection, delete_stats_collection=True)
    assert name not in [found.name for found in client.list_collections()]


def _wait_for(is_true: Any) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.2)
