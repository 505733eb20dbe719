"""Server processes for tests and the bench: start on a free port, wait until it answers, stop, kill the group.

Only processes started here, and their children, are ever signalled: a server leads a process group of its own.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.http import BareClient, ConnectionLost

HOST = "127.0.0.1"
START_SECONDS = 60.0


class ServerFailed(Exception):
    """The server did not start; the message ends with what it printed."""


def free_port() -> int:
    """A loopback port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def script(name: str, environment: Path | None = None) -> str:
    """The path of a command of a virtual environment (of the running one by default)."""
    folder = Path(sys.executable).parent if environment is None else environment / "bin"
    return str(folder / name)


def afterglow_command(path: Path, port: int, options: Sequence[str] = ()) -> list[str]:
    """What starts our server on a directory; with the option `--aws` on the account that the environment names."""
    place = [] if "--aws" in options else ["--path", str(path)]
    return [script("afterglow"), "run", *place, "--host", HOST, "--port", str(port), *options]


def chroma_command(path: Path, port: int, environment: Path | None = None) -> list[str]:
    """What starts the genuine server on a directory."""
    return [script("chroma", environment), "run", "--path", str(path), "--host", HOST, "--port", str(port)]


def subject_command(path: Path, port: int, options: Sequence[str] = ()) -> list[str]:
    """Our server; the genuine one when AFTERGLOW_TEST_SUBJECT is `chroma`, to try a checker on it."""
    if os.environ.get("AFTERGLOW_TEST_SUBJECT") == "chroma":
        return chroma_command(path, port)
    return afterglow_command(path, port, options)


@dataclass(slots=True)
class Server:
    """A running server: `process` leads its own process group; `output` is the file it prints into."""

    process: subprocess.Popen[bytes]
    port: int
    path: Path
    output: Path
    host: str = field(default=HOST)

    def printed(self, last: int = 4000) -> str:
        """The end of what the server printed so far."""
        return self.output.read_text(errors="replace")[-last:] if self.output.exists() else ""

    def alive(self) -> bool:
        """Whether the first process still runs."""
        return self.process.poll() is None

    def client(self, timeout: float = 60.0) -> BareClient:
        """A new bare connection."""
        return BareClient(self.host, self.port, timeout)

    def stop(self, seconds: float = 30.0) -> None:
        """End it in good order (SIGTERM); kill the group when that takes longer than `seconds`."""
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self, *, children: bool = True) -> list[psutil.Process]:
        """`kill -9` of the process group, and of descendants outside it; those are returned if not `children`."""
        others = self._strays()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        return reap(others) if children else others

    def _strays(self) -> list[psutil.Process]:
        """Descendants in a session of their own: they outlive the group."""
        try:
            return [child for child in psutil.Process(self.process.pid).children(recursive=True) if _leads(child.pid)]
        except psutil.NoSuchProcess:
            return []


def _leads(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def reap(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Kill what is left of processes that a killed server left behind; nothing is left then."""
    for child in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(list(processes), timeout=10)
    return []


def spawn(command: Sequence[str], path: Path, port: int, env: Mapping[str, str] | None = None) -> Server:
    """Start a server process without waiting for it; it prints into `<path>.log` (appended)."""
    output = path.with_name(path.name + ".log")
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("ab") as sink:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    return Server(process, port, path, output)


def wait_until_ready(server: Server, seconds: float = START_SECONDS) -> None:
    """Return when the heartbeat answers. Raises ServerFailed, and kills it, when it ends or `seconds` pass."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not server.alive():
            server.kill()
            raise ServerFailed(f"the server ended with {server.process.returncode}:\n{server.printed()}")
        try:
            with server.client(timeout=5) as client:
                if client.request("GET", "/api/v2/heartbeat").status == 200:
                    return
        except ConnectionLost:
            pass
        time.sleep(0.02)
    server.kill()
    raise ServerFailed(f"no heartbeat within {seconds} s:\n{server.printed()}")


def start(
    path: Path, *, options: Sequence[str] = (), env: Mapping[str, str] | None = None, port: int | None = None
) -> Server:
    """Our server on `path`, ready to answer."""
    port = free_port() if port is None else port
    server = spawn(subject_command(path, port, options), path, port, env)
    wait_until_ready(server)
    return server


@contextlib.contextmanager
def running(path: Path, *, options: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Our server on `path` for the length of a block; stopped in good order at its end."""
    server = start(path, options=options, env=env)
    try:
        yield server
    finally:
        server.stop()
