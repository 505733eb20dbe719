"""Observability of an invocation: one line of JSON, with metrics in the same line, and a trace if tracing is enabled.

The line has the id of the request, `cold`, `ms`, `phases` (ms by step; `handle` includes the phases of the engine),
`calls` to AWS by name, `read_units` and `write_units` of DynamoDB, `bytes_read` from and `bytes_written` to S3,
`gb_seconds` of the handler (the start of a container is billed too), and every attribute of the usage (`metering`):
operation, collection, rows, status. It is also a record in the embedded metric format of CloudWatch, with `Latency`,
`ColdStart` for a cold start, `Rejected` for a request that got 429 or 507, and every numeric attribute whose name
starts with a capital, such as `UnflushedOps` and `FlushLagSeconds`.

The loggers of the library use the same logger, so that their lines carry the id of the request too.
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
_REJECTIONS = {429, 507}
# Excluded from every line: not worth their bytes.
_EXCLUDED: dict[str, Any] = {"location": None, "sampling_rate": None}


def _json(line: dict[str, Any]) -> str:
    if line["message"].startswith("{"):
        # Lines of the library are JSON already.
        with contextlib.suppress(orjson.JSONDecodeError):
            line["message"] = orjson.loads(line["message"])
    return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


logger = Logger(json_serializer=_json, utc=True, use_rfc3339=True, serialize_stacktrace=False, **_EXCLUDED)
metrics = Metrics(namespace=NAMESPACE, service=logger.service)
_invocations = itertools.count()


def instrument(handler: Handler) -> Handler:
    """The handler with a log line, metrics and a trace. Its exceptions propagate to the runtime."""
    _adopt_library()
    inner = _trace(handler) if tracing_enabled() else handler

    @functools.wraps(handler, updated=())
    def instrumented(event: dict[str, Any], context: Any) -> Any:
        is_cold = next(_invocations) == 0
        logger.append_keys(request_id=getattr(context, "aws_request_id", None))
        started = time.perf_counter()
        with collect_usage() as usage:
            try:
                response = inner(event, context)
            except BaseException as error:
                _emit(usage, started, context, is_cold=is_cold, error=error)
                raise
            _emit(usage, started, context, is_cold=is_cold)
        return response

    return instrumented


def _emit(usage: Usage, started: float, context: Any, *, is_cold: bool, error: BaseException | None = None) -> None:
    milliseconds = (time.perf_counter() - started) * 1000
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
        "phases": {name: round(ms, 3) for name, ms in usage.phases.items()},
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
    if usage.attributes.get("status") in _REJECTIONS:
        metrics.add_metric("Rejected", MetricUnit.Count, 1)
    for name, value in usage.attributes.items():
        if name[0].isupper() and not isinstance(value, str | bool):
            metrics.add_metric(name, _UNITS.get(name, MetricUnit.Count), value)


def _adopt_library() -> None:
    library = logging.getLogger(_LIBRARY)
    library.handlers = [logger.registered_handler]
    library.setLevel(logger.log_level)
    library.propagate = False


def _trace(handler: Handler) -> Handler:
    # Imported here, because it takes 30 ms that only traced functions should pay.
    from aws_lambda_powertools import Tracer

    tracer = Tracer(auto_patch=False)
    tracer.patch(["botocore"])

    def traced(event: dict[str, Any], context: Any) -> Any:
        try:
            return handler(event, context)
        finally:
            usage = current_usage()
            attributes = {} if usage is None else usage.attributes
            for name in attributes.keys() & {"operation", "collection"}:
                tracer.put_annotation(name, str(attributes[name]))

    # Its name is that of the subsegment.
    traced.__name__ = "handler"
    captured: Handler = tracer.capture_lambda_handler(traced, capture_response=False)
    return captured
