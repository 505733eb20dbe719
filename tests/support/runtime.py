"""Lambda's runtime client, as in a container, fed by a small Runtime API of our own: the check of what is deployed.

The client (`.venv-runtime`) runs in an environment with nothing but the function's folder and the layers' `python/`
folders, so that a dependency that was forgotten is missed. `Function` starts it, hands it events, enforces what Lambda
does: the limit of 6 MB each way, the time, one event at a time; and reports what a start and a call cost.
"""

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import psutil

from tests.support.server import HOST

PYTHON = Path(__file__).resolve().parents[2] / ".venv-runtime" / "bin" / "python"
VERSION = "/2018-06-01/runtime/"
LIMIT = 6 * 1024 * 1024
INIT_SECONDS = 60.0
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:"


class Failed(Exception):
    """The function could not be started, or ended; with what it printed."""


class FunctionError(Exception):
    """The handler raised; `kind` and `message` are the error's."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class TooLarge(Exception):
    """The event, or the answer, has more than 6 MB: Lambda answers its caller 413."""


class TimedOut(Exception):
    """The handler took longer than the function may; the container was ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client posted, and when."""

    kind: str
    body: bytes
    at: float


class _Api(ThreadingHTTPServer):
    """The Runtime API."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.invocations: SimpleQueue[tuple[dict[str, str], bytes] | None] = SimpleQueue()
        self.outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self.restored = threading.Event()
        self.handed_over = 0.0

    def end(self) -> None:
        """Let go of whoever waits."""
        self.invocations.put(None)
        self.restored.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed while it waited is nothing to speak of."""


class _Handler(BaseHTTPRequestHandler):
    server: _Api
    protocol_version = "HTTP/1.1"
    # Without these each call waits 40 ms for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """`next` and `restore/next`: wait for work."""
        if self.path == VERSION + "restore/next":
            self._happened("snapshot")
            self.server.restored.wait()
            self._answer(200)
            return
        self._happened("ready")
        work = self.server.invocations.get()
        if work is None:
            self.close_connection = True
            return
        self.server.handed_over = time.perf_counter()
        self._answer(200, work[1], work[0])

    def do_POST(self) -> None:
        """What came of it."""
        body = self._body()
        kind = self.path.removeprefix(VERSION)
        if kind.endswith("/response") and len(body) > LIMIT:
            self._happened("too large")
            self._answer(413, b'{"errorType":"RequestEntityTooLarge","errorMessage":"too large"}')
            return
        self._happened(kind.rsplit("/", 1)[1] if kind.startswith("invocation/") else kind, body)
        self._answer(202, b'{"status":"OK"}')

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _happened(self, kind: str, body: bytes = b"") -> None:
        self.server.outcomes.put(Outcome(kind, body, time.perf_counter()))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, status: int, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class Function:
    """A container with one function, started as the block begins. Not for several threads."""

    def __init__(
        self,
        folder: Path,
        layers: Sequence[Path],
        environment: Mapping[str, str],
        printed: Path,
        *,
        memory: int = 1769,
        seconds: float = 29.0,
        snap_start: bool = False,
        sampled: bool = False,
        command: Sequence[str] = (str(PYTHON), "-m", "awslambdaric", "app.handler"),
    ) -> None:
        self.init_ms = 0.0
        self.init_cpu_ms = 0.0
        """Of the processor, until it was ready; a container has memory/1769 MB of one."""
        self.restore_ms = 0.0
        self.call_ms = 0.0
        """Of the last call, in the client and in the function."""
        self._folder = folder
        self._printed = printed
        self._seconds = seconds
        self._snap_start = snap_start
        self._command = list(command)
        self._trace = f"Root=1-692ec5a1-4f1d2c3b5a6978877665544f;Parent=53995c3f42cd8ad8;Sampled={int(sampled)}"
        self._memory = memory
        self._environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": os.pathsep.join(str(layer / "python") for layer in layers),
            "LAMBDA_TASK_ROOT": str(folder),
            "_HANDLER": "app.handler",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_NAME": folder.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "1" if snap_start else "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if snap_start else "on-demand",
            **environment,
        }

    def __enter__(self) -> Self:
        if not PYTHON.is_file():
            raise Failed(f"{PYTHON} is missing: make .venv-runtime/.ready")
        self._api = _Api()
        self._thread = threading.Thread(target=self._api.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def invoke(self, event: Any) -> Any:
        """The handler's answer. Raises FunctionError, TooLarge, TimedOut, Failed."""
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        if len(body) > LIMIT:
            raise TooLarge(f"an event of {len(body)} bytes")
        headers = {
            "Lambda-Runtime-Aws-Request-Id": str(uuid4()),
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self._seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": f"{ARN}{self._folder.name}",
            "Lambda-Runtime-Trace-Id": self._trace,
        }
        self._api.invocations.put((headers, body))
        try:
            outcome = self._outcome(self._seconds)
        except Empty:
            self._process.kill()
            raise TimedOut(f"after {self._seconds} seconds") from None
        self.call_ms = (outcome.at - self._api.handed_over) * 1000
        if outcome.kind == "too large":
            self._process.wait(INIT_SECONDS)
            raise TooLarge("the answer; the runtime client ends when it is told so")
        self._awaited("ready")
        answer = json.loads(outcome.body)
        if outcome.kind == "error":
            raise FunctionError(answer["errorType"], answer["errorMessage"])
        return answer

    def restore(self) -> None:
        """Go on from the snapshot that was taken at the start."""
        began = time.perf_counter()
        self._api.restored.set()
        self.restore_ms = (self._awaited("ready").at - began) * 1000

    def printed(self) -> str:
        """All that it printed."""
        return self._printed.read_text(errors="replace")

    def lines(self) -> list[dict[str, Any]]:
        """The lines of JSON among it."""
        return [json.loads(line) for line in self.printed().splitlines() if line.startswith("{")]

    def peak_mb(self) -> float:
        """The most memory it has had, in MB; 0 when it has ended."""
        if self._process.poll() is not None:
            return 0.0
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        return psutil.Process(self._process.pid).memory_info().rss / 1024**2

    def report(self) -> str:
        """What the start cost, as Lambda reports it."""
        return (
            f"{self._folder.name}: init {self.init_ms:.0f} ms ({self.init_cpu_ms:.0f} ms of a processor, "
            f"{self.init_cpu_ms * 1769 / self._memory:.0f} ms at {self._memory} MB), peak {self.peak_mb():.0f} MB"
        )

    def _start(self) -> None:
        began = time.perf_counter()
        port = self._api.server_address[1]
        with self._printed.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env={**self._environment, "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{port}"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        ready = self._awaited("snapshot" if self._snap_start else "ready")
        times = psutil.Process(self._process.pid).cpu_times()
        self.init_ms = (ready.at - began) * 1000
        self.init_cpu_ms = (times.user + times.system) * 1000

    def _awaited(self, *kinds: str) -> Outcome:
        """The last of these outcomes, which must come in this order."""
        outcome = None
        for kind in kinds:
            try:
                outcome = self._outcome(INIT_SECONDS)
            except Empty:
                raise Failed(f"no {kind} within {INIT_SECONDS} seconds:\n{self.printed()}") from None
            if outcome.kind != kind:
                raise Failed(f"{outcome.kind} instead of {kind}: {outcome.body.decode()}\n{self.printed()}")
        assert outcome is not None
        return outcome

    def _outcome(self, seconds: float) -> Outcome:
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(Empty):
                return self._api.outcomes.get(timeout=min(0.1, max(0.0, end - time.monotonic())))
            if time.monotonic() >= end:
                raise Empty
            if self._process.poll() is not None:
                raise Failed(f"the function ended with {self._process.returncode}:\n{self.printed()}")

    def _end(self) -> None:
        if "_process" in vars(self):
            self._process.kill()
            self._process.wait()
        self._api.end()
        self._thread.join()
