"""`/metrics`, `/health`, `/ready`, the access log and its forms; the dashboard names only metrics that exist."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from afterglow.errors import InvalidArgument
from afterglow.metering import Usage
from afterglow.server import serve as serve_module
from afterglow.server.logs import configure
from afterglow.server.metrics import FLUSH_SECONDS, Metrics
from tests.support.server import running
from tests.support.wire import Wire

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "afterglow_requests_total",
    "afterglow_request_seconds",
    "afterglow_phase_seconds",
    "afterglow_rows_total",
    "afterglow_open_collections",
    "afterglow_recall_neighbors_total",
    "afterglow_index_runs_total",
    "afterglow_index_seconds",
    "afterglow_silent_indexers",
    "afterglow_flushed_operations_total",
    "afterglow_compactions_total",
    "afterglow_deleted_objects_total",
)
"""Every metric besides those of the process."""
DASHBOARD = ROOT / "deploy" / "grafana" / "afterglow.json"


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels; Prometheus' own parser reads the text."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests(text: str, operation: str, status: int) -> float:
    labels = frozenset({("operation", operation), ("status", str(status))})
    return samples(text).get(("afterglow_requests_total", labels), 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_requests_are_counted_by_route_and_status(tmp_path: Path, workers: int) -> None:
    with running(tmp_path / "data", options=["--workers", str(workers)]) as server, server.client() as bare:
        wire = Wire(bare)
        collection = wire.create("counted")
        wire.write(collection, "add", {"ids": ["a", "b"], "embeddings": [[1, 2], [3, 4]]})
        base = f"http://{server.host}:{server.port}"
        for _ in range(6):
            # A connection each: every worker gets some.
            assert httpx.get(base + "/api/v2/heartbeat").status_code == 200
        assert httpx.get(base + "/api/v2/nowhere").status_code == 404
        time.sleep(2 * FLUSH_SECONDS)
        response = httpx.get(base + "/metrics")
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        text = response.text
        assert requests(text, "system.heartbeat", 200) >= 6
        assert requests(text, "records.add", 201) == 1
        assert requests(text, "none", 404) == 1
        assert samples(text)["afterglow_rows_total", frozenset({("operation", "records.add")})] == 2
        assert samples(text)["afterglow_request_seconds_count", frozenset({("operation", "records.add")})] == 1
        assert not {"counted", str(collection)} & set(re.findall(r'"([^"]*)"', text))


@pytest.mark.slow
def test_the_recall_of_sampled_queries_is_counted(tmp_path: Path) -> None:
    environment = {"AFTERGLOW_RECALL_SAMPLE": "1", "AFTERGLOW_HNSW_MIN_ROWS": "64", "AFTERGLOW_FLUSH_OPS": "100"}
    with running(tmp_path / "data", env=environment) as server, server.client() as bare:
        wire = Wire(bare)
        collection = wire.create("sampled")
        vectors = np.random.default_rng(5).normal(size=(400, 8)).astype(np.float32)
        wire.write(collection, "add", {"ids": [str(number) for number in range(400)], "embeddings": vectors})

        def neighbors() -> dict[str, float]:
            """True neighbours by outcome, of all samples so far."""
            wire.query(collection, vectors[:1], n_results=7)
            found = samples(httpx.get(f"http://{server.host}:{server.port}/metrics").text)
            name = "afterglow_recall_neighbors_total"
            return {outcome: found.get((name, frozenset({("outcome", outcome)})), 0) for outcome in ("found", "missed")}

        deadline = time.monotonic() + 30
        while not sum((counted := neighbors()).values()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert sum(counted.values()) % 7 == 0
        assert counted["found"] > counted["missed"]


@pytest.mark.slow
def test_metrics_need_a_key_where_authentication_is_on(tmp_path: Path) -> None:
    environment = {"AFTERGLOW_AUTH": "token", "AFTERGLOW_AUTH_TOKEN": "sesame"}
    with (
        running(tmp_path / "data", env=environment) as server,
        httpx.Client(base_url=f"http://{server.host}:{server.port}") as client,
    ):
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"x-chroma-token": "sesame"}).status_code == 200
        assert client.get("/health").json() == {"status": "ok"}
        assert client.get("/ready").json() == {"ready": True, "problems": []}


@pytest.mark.slow
def test_an_indexer_that_hangs_is_not_ready_until_it_is_replaced(tmp_path: Path) -> None:
    environment = {"AFTERGLOW_FLUSH_OPS": "10", "AFTERGLOW_FLUSH_IDLE_SECONDS": "1000"}
    with running(tmp_path / "data", env=environment) as server, server.client() as bare:
        wire, base = Wire(bare), f"http://{server.host}:{server.port}"
        collection = wire.create("indexed")

        def write(first: int) -> None:
            ids = [str(number) for number in range(first, first + 10)]
            wire.write(collection, "add", {"ids": ids, "embeddings": [[1, 2]] * 10})

        def wait_until(found: Callable[[], bool]) -> None:
            deadline = time.monotonic() + 90
            while not found():
                assert time.monotonic() < deadline, server.printed()
                time.sleep(0.2)

        def metric(name: str) -> float:
            return samples(httpx.get(base + "/metrics").text)[name, frozenset()]

        write(0)
        wait_until(lambda: metric("afterglow_flushed_operations_total") == 10)
        stopped = psutil.Process(server.process.pid).children()
        for child in stopped:
            child.suspend()
        write(10)
        wait_until(lambda: httpx.get(base + "/ready").status_code == 503)
        assert httpx.get(base + "/ready").json()["problems"] == [
            "an indexer process does not respond; it is replaced soon"
        ]
        assert metric("afterglow_silent_indexers") == 1
        wait_until(lambda: metric("afterglow_flushed_operations_total") == 20)
        assert metric("afterglow_silent_indexers") == 0
        assert httpx.get(base + "/ready").json() == {"ready": True, "problems": []}
        assert not any(child.is_running() for child in stopped)


def test_a_full_disk_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert serve_module.disk_problem(tmp_path) is None
    monkeypatch.setattr(serve_module, "MIN_FREE_BYTES", 1 << 62)
    assert (serve_module.disk_problem(tmp_path) or "").startswith("the disk is full")
    assert (serve_module.disk_problem(tmp_path / "gone") or "").startswith("the data directory cannot be read")


def test_index_runs_are_counted() -> None:
    metrics = Metrics()
    metrics.record_index_run(0.2, {"flushed_ops": 5, "compactions": 1, "collected": 2})
    metrics.record_index_run(0.1, None)
    found = samples(metrics.text().decode())
    assert found["afterglow_flushed_operations_total", frozenset()] == 5
    assert found["afterglow_index_runs_total", frozenset({("outcome", "failed")})] == 1
    assert found["afterglow_index_seconds_count", frozenset()] == 2


def test_neighbours_of_sampled_queries_are_counted() -> None:
    metrics = Metrics()
    metrics.record_recall(0, 0)
    metrics.record_recall(9, 10)
    metrics.record_recall(10, 10)
    found = samples(metrics.text().decode())
    assert found["afterglow_recall_neighbors_total", frozenset({("outcome", "found")})] == 19
    assert found["afterglow_recall_neighbors_total", frozenset({("outcome", "missed")})] == 1


def test_the_dashboard_names_only_metrics_that_exist() -> None:
    metrics = Metrics()
    metrics.record_request(Usage(attributes={"operation": "a", "rows": 1}, phases={"handle": 1.0}), 200, 0.1)
    metrics.record_index_run(0.2, {"flushed_ops": 5, "compactions": 1, "collected": 2})
    metrics.record_recall(3, 4)
    exported = {name for name, _ in samples(metrics.text().decode())}
    expressions = [
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]
    ]
    named = {name for text in expressions for name in re.findall(r"\b(?:afterglow|process)_\w+", text)}
    assert named <= exported
    assert {name for name in exported if name.startswith("afterglow_")} >= {
        name for name in NAMES if not name.endswith("_seconds")
    }


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_access_log_names_routes_and_never_contents(tmp_path: Path, log_format: str) -> None:
    environment = {"AFTERGLOW_ACCESS_LOG": "all", "AFTERGLOW_LOG_FORMAT": log_format}
    with running(tmp_path / "data", env=environment) as server, server.client() as client:
        wire = Wire(client)
        collection = wire.create("logged")
        body = {"ids": ["secret-id"], "embeddings": [[1.25, 2.5]], "documents": ["secret-document"]}
        wire.write(collection, "add", body)
        deadline = time.monotonic() + 10
        while "records.add" not in (log := server.printed(100_000)) and time.monotonic() < deadline:
            time.sleep(0.05)
    lines = [line for line in log.splitlines() if "records.add" in line]
    assert len(lines) == 1
    if log_format == "json":
        assert all(json.loads(line)["logger"] for line in log.splitlines() if line.startswith("{"))
        assert json.loads(lines[0])["message"].startswith("POST records.add 201 ")
    assert "rows=1" in lines[0]
    for secret in ("secret-id", "secret-document", "1.25"):
        assert secret not in log


@pytest.mark.parametrize(("level", "log_format"), [("loud", "text"), ("info", "xml")])
def test_unknown_levels_and_formats_are_refused(level: str, log_format: str) -> None:
    with pytest.raises(InvalidArgument, match="AFTERGLOW_LOG_"):
        configure(level, log_format)
