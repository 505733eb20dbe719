"""What a function says of each invocation: one line of JSON, metrics in the same line, a trace where tracing is on.

The line has the request's id, `cold`, `ms`, `phases` (ms by step; `handle` includes what the engine names), `calls` to
AWS by name, DynamoDB's `read_units` and `write_units`, `bytes_read` from and `bytes_written` to S3, `gb_seconds` as far
as the handler is concerned (the start of a container is billed too), and every fact that was noted (`metering`):
operation, collection, rows, status. It is also a record in CloudWatch's embedded metric format: `Latency`, `ColdStart`
where it was one, and every numeric fact whose name begins with a capital, such as `UnflushedOps` and `FlushLagSeconds`.

The loggers of the library write by the same logger, so that their lines carry the request's id too.
"""

import contextlib
import functools
import itertools
import logging
import time
from collections.abc import Callable
from typing import Any

import orjson
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from afterglow.metering import Usage, collect_usage, current_usage
from afterglow.settings import tracing_enabled

Handler = Callable[[dict[str, Any], Any], Any]

NAMESPACE = "Afterglow"
_UNITS = {"FlushLagSeconds": MetricUnit.Seconds}
_LIBRARY = "afterglow"
# A line is written once more for every name given here: none is worth its bytes.
_LEFT_OUT: dict[str, Any] = {"location": None, "sampling_rate": None}


def _json(line: dict[str, Any]) -> str:
    if line["message"].startswith("{"):
        # The library's own lines are JSON already.
        with contextlib.suppress(orjson.JSONDecodeError):
            line["message"] = orjson.loads(line["message"])
    return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


logger = Logger(json_serializer=_json, utc=True, use_rfc3339=True, serialize_stacktrace=False, **_LEFT_OUT)
metrics = Metrics(namespace=NAMESPACE, service=logger.service)
_invocations = itertools.count()


def instrument(handler: Handler) -> Handler:
    """The handler, observed. What it raises goes on to the runtime."""
    _adopt_library()
    inner = _trace(handler) if tracing_enabled() else handler

    @functools.wraps(handler, updated=())
    def observing(event: dict[str, Any], context: Any) -> Any:
        is_cold = next(_invocations) == 0
        logger.append_keys(request_id=getattr(context, "aws_request_id", None))
        began = time.perf_counter()
        with collect_usage() as usage:
            try:
                answer = inner(event, context)
            except BaseException as error:
                _emit(usage, began, context, is_cold=is_cold, error=error)
                raise
            _emit(usage, began, context, is_cold=is_cold)
        return answer

    return observing


def _emit(usage: Usage, began: float, context: Any, *, is_cold: bool, error: BaseException | None = None) -> None:
    milliseconds = (time.perf_counter() - began) * 1000
    memory = int(getattr(context, "memory_limit_in_mb", 0))
    _record_metrics(usage, milliseconds, is_cold=is_cold)
    if logger.log_level > logging.INFO and error is None:
        metrics.flush_metrics()
        return
    line: dict[str, Any] = {
        **metrics.serialize_metric_set(),
        **usage.attributes,
        "cold": is_cold,
        "ms": round(milliseconds, 3),
        "phases": {name: round(each, 3) for name, each in usage.phases.items()},
        "calls": usage.calls,
        "read_units": usage.read_units,
        "write_units": usage.write_units,
        "bytes_read": usage.bytes_read,
        "bytes_written": usage.bytes_written,
        "gb_seconds": round(memory / 1024 * milliseconds / 1000, 6),
    }
    metrics.clear_metrics()
    if error is None:
        logger.info("invoked", **line)
    else:
        logger.error("failed", exc_info=error, **line)


def _record_metrics(usage: Usage, milliseconds: float, *, is_cold: bool) -> None:
    metrics.add_metric("Latency", MetricUnit.Milliseconds, round(milliseconds, 3))
    if is_cold:
        metrics.add_metric("ColdStart", MetricUnit.Count, 1)
    for name, fact in usage.attributes.items():
        if name[0].isupper() and not isinstance(fact, str | bool):
            metrics.add_metric(name, _UNITS.get(name, MetricUnit.Count), fact)


def _adopt_library() -> None:
    library = logging.getLogger(_LIBRARY)
    library.handlers = [logger.registered_handler]
    library.setLevel(logger.log_level)
    library.propagate = False


def _trace(handler: Handler) -> Handler:
    # Imported here: it takes 30 ms that nobody should pay who does not trace.
    from aws_lambda_powertools import Tracer

    tracer = Tracer(auto_patch=False)
    tracer.patch(["botocore"])

    def traced(event: dict[str, Any], context: Any) -> Any:
        try:
            return handler(event, context)
        finally:
            usage = current_usage()
            facts = {} if usage is None else usage.attributes
            for name in facts.keys() & {"operation", "collection"}:
                tracer.put_annotation(name, str(facts[name]))

    # Its name is the subsegment's.
    traced.__name__ = "handler"
    captured: Handler = tracer.capture_lambda_handler(traced, capture_response=False)
    return captured
