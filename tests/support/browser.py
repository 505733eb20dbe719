"""A headless Chromium, driven over its DevTools protocol by a pair of pipes: nothing is installed for it.

Messages are JSON objects, each ended by a NUL byte. Of what the page does only what tests ask for is kept: errors of
its scripts, what its console says, and the addresses it asks for.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_UNPACKED = Path(__file__).resolve().parents[2] / ".chromium" / "usr" / "lib"
PROGRAM = (
    shutil.which("chromium", path=_UNPACKED / "chromium")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
WAIT_SECONDS = 90.0
_NAVIGATED = "Inspected target navigated or closed"


class NavigatedError(AssertionError):
    """The page went to another address, or was loaded again, before it answered."""


class Page:
    """One page; `trouble` is what went wrong in it, `asked` the addresses it asked for."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._unread = b""
        self._number = 0
        self._session: str | None = None
        self.trouble: list[str] = []
        self.asked: list[str] = []

    def open(self, url: str) -> None:
        """Go there, in the tab that is shown."""
        page = next(target for target in self.command("Target.getTargets")["targetInfos"] if target["type"] == "page")
        attached = self.command("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.command(f"{domain}.enable")
        self.command("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """The value of an expression; of a promise, what it comes to."""
        answer = self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = WAIT_SECONDS) -> Any:
        """The value of an expression, as soon as it is true, however often the page is loaded until then."""
        end = time.monotonic() + seconds
        while True:
            with suppress(NavigatedError):
                if value := self.evaluate(script):
                    return value
            assert time.monotonic() < end, f"never true: {script}; {self.trouble}"
            time.sleep(0.05)

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something; its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        error = answer.get("error")
        if error is not None and error["message"] == _NAVIGATED:
            raise NavigatedError(method)
        assert error is None, error
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            piece = os.read(self._answers, 1 << 16)
            assert piece, "the browser ended"
            self._unread += piece
        whole, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(whole)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        given = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.asked.append(given["request"]["url"])
            case "Runtime.exceptionThrown":
                self.trouble.append(json.dumps(given["exceptionDetails"]))
            case "Log.entryAdded" if given["entry"]["level"] == "error":
                self.trouble.append(given["entry"]["text"])
            case _:
                pass


def _libraries() -> list[Path]:
    """The folders of the libraries of an unpacked browser."""
    return [folder for base in _UNPACKED.glob("*-linux-gnu") for folder in (base, base / "pulseaudio")]


@contextmanager
def browser(profile: Path, *given: str) -> Iterator[Page]:
    """A browser with an empty profile, for the length of the block; `given` are further options of Chromium."""
    assert PROGRAM is not None
    read_commands, commands = os.pipe()
    answers, write_answers = os.pipe()
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [
            "bash",
            "-c",
            f'exec "$0" --remote-debugging-pipe "$@" about:blank 3<&{read_commands} 4>&{write_answers}',
            PROGRAM,
            *options,
            *given,
        ],
        pass_fds=(read_commands, write_answers),
        env=os.environ | {"LD_LIBRARY_PATH": ":".join(str(folder) for folder in _libraries())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_commands)
    os.close(write_answers)
    try:
        yield Page(commands, answers)
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)
        os.close(commands)
        os.close(answers)
