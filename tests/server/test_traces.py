"""Traces: spans that arrive at a receiver, what they hold, the caller's trace, and no cost where nobody asks."""

import gzip
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from afterglow.errors import InvalidArgument
from afterglow.metering import MAX_INTERVALS, Interval, Usage, collect_usage, observe_usage, phase
from afterglow.server.traces import Traces, open_traces
from afterglow.settings import Settings, System
from tests.support.server import HOST, free_port, running
from tests.support.wire import Wire

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `traces` is not installed")

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_SAMPLED = CALLER.removesuffix("01") + "00"
SECRET = "a document of the caller"


@dataclass
class Receiver:
    """An OTLP receiver: the spans that have arrived."""

    url: str = ""
    spans: list[Any] = field(default_factory=list)

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


@contextmanager
def receiver() -> Iterator[Receiver]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            message = ExportTraceServiceRequest.FromString(body)
            for resource in message.resource_spans:
                for scope in resource.scope_spans:
                    received.spans += scope.spans
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        received.url = f"http://{HOST}:{server.server_port}/v1/traces"
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


def usage_of(*intervals: tuple[str, float, float]) -> Usage:
    usage = Usage(intervals=[Interval(*interval) for interval in intervals])
    usage.attributes |= {"operation": "records.query", "rows": 10, "caller": "ann"}
    usage.calls["dynamodb.Query"] = 2
    return usage


def test_spans_of_a_request_and_its_phases_arrive() -> None:
    with receiver() as received:
        traces = Traces(received.url, 1.0, System(now=lambda: 1_000_000.0))
        trace = traces.begin([(b"traceparent", CALLER.encode()), (b"authorization", b"Bearer secret")])
        assert trace is not None
        assert trace.trace_id == CALLER.split("-")[1]
        phases = [("search", 2.0, 3.0), ("parse", 0.0, 1.0), ("handle", 1.0, 4.0), ("render", 4.0, 5.0)]
        traces.end(trace, "POST", usage_of(*phases), 503)
        traces.close()
    by_name = {span.name: span for span in received.spans}
    assert set(by_name) == {"records.query", "search", "parse", "handle", "render"}
    root = by_name["records.query"]
    assert {span.trace_id.hex() for span in received.spans} == {CALLER.split("-")[1]}
    assert root.parent_span_id.hex() == CALLER.split("-")[2]
    parents = {name: span.parent_span_id for name, span in by_name.items()}
    assert parents["search"] == by_name["handle"].span_id
    assert {parents[name] for name in ("parse", "handle", "render")} == {root.span_id}
    assert {
        name: round((span.end_time_unix_nano - span.start_time_unix_nano) / 1e9) for name, span in by_name.items()
    } | {"records.query": 0} == {"records.query": 0, "search": 1, "parse": 1, "handle": 3, "render": 1}
    attributes = {item.key: item.value for item in root.attributes}
    assert attributes["http.response.status_code"].int_value == 503
    assert attributes["afterglow.calls.dynamodb.Query"].int_value == 2
    assert root.status.code == 2
    assert "ann" not in str(received.spans)
    assert "secret" not in str(received.spans)


@pytest.mark.parametrize(
    ("share", "headers", "is_traced"),
    [
        (1.0, [], True),
        (0.0, [], False),
        (0.0, [(b"traceparent", CALLER.encode())], True),
        (1.0, [(b"traceparent", NOT_SAMPLED.encode())], False),
        (1.0, [(b"traceparent", b"\xff no trace")], True),
    ],
)
def test_who_decides_whether_a_request_is_traced(
    share: float, headers: list[tuple[bytes, bytes]], is_traced: bool
) -> None:
    traces = Traces(f"http://{HOST}:{free_port()}/", share, System())
    assert (traces.begin(headers) is not None) == is_traced
    traces.close()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (Settings(traces_url="localhost:4318"), "must be an address like"),
        (Settings(traces_url="http://localhost:4318", traces_share=1.5), "between 0 and 1"),
    ],
)
def test_wrong_settings_are_refused(settings: Settings, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        open_traces(settings, System())
    assert open_traces(Settings(), System()) is None


def test_phases_are_timed_for_a_trace_only() -> None:
    with collect_usage() as usage, phase("a"):
        pass
    assert usage.intervals is None
    with collect_usage(with_intervals=True) as usage, observe_usage():
        for _ in range(MAX_INTERVALS + 1):
            with phase("a"):
                pass
    assert usage.intervals is not None
    assert len(usage.intervals) == MAX_INTERVALS


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_sends_its_traces(tmp_path: Path, workers: int) -> None:
    with receiver() as received:
        environment = {"AFTERGLOW_TRACES_URL": received.url, "AFTERGLOW_ACCESS_LOG": "all"}
        options = ["--workers", str(workers)]
        with running(tmp_path / "data", env=environment, options=options) as server, server.client() as bare:
            wire = Wire(bare)
            collection = wire.create("traced")
            wire.write(collection, "add", {"ids": ["a"], "embeddings": [[1, 2]], "documents": [SECRET]})
        logged = server.printed(20_000)
    children = defaultdict(set)
    for span in received.spans:
        children[span.parent_span_id].add(span.name)
    (added,) = received.named("records.add")
    assert {"parse", "handle"} <= children[added.span_id]
    assert f"trace={added.trace_id.hex()}" in logged
    assert SECRET not in str(received.spans)


@pytest.mark.slow
def test_a_server_ends_in_good_order_without_its_receiver(tmp_path: Path) -> None:
    environment = {"AFTERGLOW_TRACES_URL": f"http://{HOST}:{free_port()}/v1/traces"}
    with running(tmp_path / "data", env=environment) as server, server.client() as bare:
        assert bare.request("GET", "/api/v2/heartbeat").status == 200
    assert server.process.returncode == 0
