"""Answers that are compressed, or too large to leave, and what they say they used."""

from collections.abc import Iterator

import httpx
import pytest

from afterglow.api.app import create_app
from afterglow.deployment.local import open_local
from afterglow.jobs.start import start_engine
from afterglow.metering import collect_usage
from afterglow.settings import Settings, System
from tests.wire.asgi_server import serve_app
from tests.wire.clients import ApiClient, CollectionClient, assert_error

LIMIT = 20_000
NOTHING_USED = "read-units=0, write-units=0, bytes-read=0, bytes-written=0"


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    settings, system = Settings(max_response_bytes=LIMIT, compress_min_bytes=2_000), System()
    engine = start_engine(open_local(tmp_path_factory.mktemp("data"), system), settings, system)
    try:
        app = create_app(engine, settings, system, allow_reset=False, report_usage=True)
        with serve_app(app) as base, httpx.Client(base_url=base, timeout=30.0) as client:
            yield ApiClient(client)
    finally:
        engine.close()


@pytest.fixture(scope="module")
def filled(tight: ApiClient) -> CollectionClient:
    """Records of a KB each, half of it quotes."""
    ids = [f"id{at}" for at in range(30)]
    return tight.collection().add(
        ids=ids, embeddings=[[1.0, 2.0]] * 30, documents=[str(at) + 'x"' * 500 for at in range(30)]
    )


def got(collection: CollectionClient, coding: str, **body: object) -> httpx.Response:
    return collection.api_client.request("POST", collection.path + "/get", body, headers={"accept-encoding": coding})


def test_a_large_answer_is_compressed_for_those_who_accept_it(filled: CollectionClient) -> None:
    packed = got(filled, "gzip", limit=3)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "accept-encoding"
    assert int(packed.headers["content-length"]) < 500
    plain = got(filled, "identity", limit=3)
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "accept-encoding"
    assert plain.json() == packed.json()
    assert "content-encoding" not in got(filled, "gzip;q=0, br", limit=3).headers


def test_a_small_answer_is_not(filled: CollectionClient) -> None:
    response = got(filled, "gzip", include=[])
    assert "content-encoding" not in response.headers
    assert "vary" not in response.headers


def test_an_answer_that_cannot_leave(filled: CollectionClient) -> None:
    response = got(filled, "identity")
    # A quote in a document takes two bytes in its JSON, and four in the JSON around that.
    assert response.status_code == 413
    size = int(response.json()["message"].split()[6])
    assert 30 * 2_500 < size < 30 * 2_600
    assert_error(
        response,
        413,
        f"Payload too large: the response has {size} bytes, at most {LIMIT} can be sent; request fewer records at a "
        "time (limit and offset, or n_results), or leave embeddings or documents out of include, or accept gzip",
    )
    assert "connection" not in response.headers
    assert got(filled, "gzip").status_code == 200
    assert len(got(filled, "identity", limit=7, offset=7).json()["ids"]) == 7
    assert len(got(filled, "identity", include=["embeddings"]).json()["ids"]) == 30


def test_every_answer_says_what_it_used(filled: CollectionClient) -> None:
    for response in (got(filled, "gzip"), filled.post("query", query_embeddings=[[1.0, 2.0]]), filled.get("count")):
        assert response.headers["afterglow-usage"] == NOTHING_USED
    assert filled.api_client.request("GET", "/nowhere").headers["afterglow-usage"] == ""


def test_measuring_ends_with_the_request(api_client: ApiClient) -> None:
    with collect_usage() as outside:
        assert "afterglow-usage" not in api_client.request("GET", "/api/v2/heartbeat").headers
    assert outside.attributes == {}
