"""Starts an emulator in a process of its own, and sets its weather."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.aws import environment
from tests.support.emulator.weather import Weather

_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class RunningEmulator:
    """A running emulator."""

    url: str

    def environment(self) -> dict[str, str]:
        """The variables by which clients reach it."""
        return environment(endpoint=self.url)

    def set_weather(self, weather: Weather, *faults: dict[str, Any]) -> None:
        """Set the latency, and the faults of the next reads."""
        values = {name: value for name, value in asdict(weather).items() if not name.startswith("_")}
        self._call("/_weather", json.dumps({**values, "faults": faults}).encode())

    def requests(self) -> list[dict[str, Any]]:
        """The requests since the last time."""
        found: list[dict[str, Any]] = json.loads(self._call("/_requests"))
        return found

    def _call(self, path: str, body: bytes | None = None) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, body), timeout=10) as response:
            answer: bytes = response.read()
        return answer


@contextmanager
def running_emulator(folder: Path) -> Iterator[RunningEmulator]:
    """An emulator whose objects are in `folder`."""
    command = [sys.executable, "-m", "tests.support.emulator", str(folder)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield RunningEmulator(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()
