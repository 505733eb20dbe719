"""The line of each invocation, and its metrics."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from afterglow.aws_lambda.observability import instrument, logger
from afterglow.metering import current_usage, phase
from tests.aws_lambda.conftest import Lines

CONTEXT = SimpleNamespace(aws_request_id="request-1", memory_limit_in_mb="1024")


def working(event: dict[str, Any], context: Any) -> str:
    usage = current_usage()
    assert usage is not None
    with phase("search"):
        usage.call("dynamodb.Query", read_units=1.5)
    usage.call("s3.GetObject", read=100)
    usage.attributes.update(
        {"operation": "records.query", "rows": 3, "UnflushedOps": 7, "FlushLagSeconds": 2.5, "Fine": True}
    )
    return "done"


def test_one_line_says_it_all(lines: Lines) -> None:
    assert instrument(working)({}, CONTEXT) == "done"
    (line,) = lines()
    assert line["phases"].keys() == {"search"}
    assert 0 <= line["phases"]["search"] <= line["ms"] == line["Latency"][0]
    assert line["gb_seconds"] == pytest.approx(line["ms"] / 1000, abs=1e-6)
    given = {
        "level": "INFO",
        "message": "invoked",
        "request_id": "request-1",
        "operation": "records.query",
        "rows": 3,
        "cold": True,
        "calls": {"dynamodb.Query": 1, "s3.GetObject": 1},
        "read_units": 1.5,
        "write_units": 0,
        "bytes_read": 100,
        "bytes_written": 0,
        "UnflushedOps": 7,
        "FlushLagSeconds": 2.5,
        "ColdStart": [1],
    }
    assert {name: line[name] for name in given} == given


def test_the_line_carries_the_metrics(lines: Lines) -> None:
    handler = instrument(working)
    handler({}, CONTEXT)
    handler({}, CONTEXT)
    first, second = ({metric["Name"]: metric["Unit"] for metric in emf(line)["Metrics"]} for line in lines())
    warm = {"Latency": "Milliseconds", "UnflushedOps": "Count", "FlushLagSeconds": "Seconds"}
    assert first == {**warm, "ColdStart": "Count"}
    assert second == warm


@pytest.mark.parametrize(("status", "is_counted"), [(200, False), (404, False), (429, True), (503, False), (507, True)])
def test_rejections_are_counted(lines: Lines, status: int, is_counted: bool) -> None:
    def responding(event: Any, context: Any) -> None:
        usage = current_usage()
        assert usage is not None
        usage.attributes["status"] = status

    instrument(responding)({}, CONTEXT)
    (line,) = lines()
    assert ("Rejected" in {metric["Name"] for metric in emf(line)["Metrics"]}) is is_counted


def emf(line: dict[str, Any]) -> dict[str, Any]:
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Afterglow"
    assert directive["Dimensions"] == [["service"]]
    assert isinstance(line["service"], str)
    return dict(directive)


def test_nothing_of_one_invocation_is_in_the_next(lines: Lines) -> None:
    instrument(working)({}, CONTEXT)
    instrument(lambda event, context: None)({}, SimpleNamespace(aws_request_id="request-2", memory_limit_in_mb="128"))
    line = lines()[1]
    assert (line["request_id"], line["cold"], line["calls"], line["phases"]) == ("request-2", False, {}, {})
    assert [metric["Name"] for metric in emf(line)["Metrics"]] == ["Latency"]
    assert "UnflushedOps" not in line
    assert "operation" not in line


def test_what_is_raised_goes_on(lines: Lines) -> None:
    def failing(event: dict[str, Any], context: Any) -> None:
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        instrument(failing)({}, CONTEXT)
    (line,) = lines()
    assert (line["level"], line["message"], line["exception_name"]) == ("ERROR", "failed", "KeyError")
    assert "KeyError: 'gone'" in line["exception"]
    assert emf(line)


def test_the_lines_of_the_library_have_the_request_too(lines: Lines) -> None:
    def talking(event: dict[str, Any], context: Any) -> None:
        logging.getLogger("afterglow.api").info("%s", '{"event":"request failed","status":404}')
        logging.getLogger("afterglow.jobs").warning("{not JSON}")

    instrument(talking)({}, CONTEXT)
    first, second, _ = lines()
    assert first["message"] == {"event": "request failed", "status": 404}
    assert second["message"] == "{not JSON}"
    assert [fields["request_id"] for fields in (first, second)] == ["request-1"] * 2


def test_metrics_do_not_depend_on_the_log_level(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    logger.setLevel("WARNING")
    try:
        instrument(working)({}, CONTEXT)
    finally:
        logger.setLevel("INFO")
    assert lines() == []
    assert '"Latency"' in capsys.readouterr().out


def test_no_context_is_fine(lines: Lines) -> None:
    instrument(working)({}, None)
    assert lines()[0]["gb_seconds"] == 0
