"""A container that was just started: imports the API function, reports that it is ready, then answers requests.

Requests and answers are lines of JSON: `{"method", "path", "body"}`, `{"ms", "cpu_ms", "status", "body"}`.
"""

import json
import runpy
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FUNCTION = Path(__file__).parents[2] / "functions" / "api" / "app.py"


def _event(request: dict[str, Any]) -> dict[str, Any]:
    path, _, query = request["path"].partition("?")
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": "application/json", "host": "localhost"},
        "requestContext": {"http": {"method": request["method"], "sourceIp": "127.0.0.1"}, "requestId": "bench"},
        "body": json.dumps(request["body"]) if request.get("body") is not None else None,
        "isBase64Encoded": False,
    }


def _peak_megabytes() -> float:
    """The peak of the resident set since this program began; getrusage counts the process that started it, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Serve."""
    output = sys.stdout
    sys.stdout = sys.stderr
    began, cpu = time.perf_counter(), time.process_time()
    handler = runpy.run_path(str(FUNCTION))["handler"]
    context = SimpleNamespace(
        aws_request_id="bench",
        memory_limit_in_mb=1769,
        get_remaining_time_in_millis=lambda: 29_000,
        function_name="api",
        invoked_function_arn="arn",
    )

    def report(**values: Any) -> None:
        output.write(json.dumps(values) + "\n")
        output.flush()

    report(ms=(time.perf_counter() - began) * 1e3, cpu_ms=time.process_time() * 1e3, start_cpu_ms=cpu * 1e3)
    for line in sys.stdin:
        event = _event(json.loads(line))
        began, cpu = time.perf_counter(), time.process_time()
        answer = handler(event, context)
        milliseconds, cpu_ms = (time.perf_counter() - began) * 1e3, (time.process_time() - cpu) * 1e3
        report(
            ms=milliseconds,
            cpu_ms=cpu_ms,
            status=answer["statusCode"],
            body=answer["body"],
            rss_mb=_peak_megabytes(),
        )


main()
