"""Extracts the code blocks of a page and runs them: shell commands and Python examples."""

import contextlib
import io
import os
import re
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.server import script

FENCED_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: `language` and `mark` come from its info string (```python no-run)."""

    language: str
    mark: str
    code: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    return [Block(language, mark.strip(), code) for language, mark, code in FENCED_BLOCK.findall(page.read_text())]


def commands(text: str) -> str:
    """The indented code of a page or of a section."""
    return textwrap.dedent("\n".join(re.findall(r"^ {4}.*$", text, re.MULTILINE)))


def examples(page: Path) -> list[str]:
    """The runnable Python examples of a page."""
    return [block.code for block in blocks(page) if block.language == "python" and not block.mark]


def run_commands(command: str, folder: Path, **environment: str) -> str:
    """Run shell commands in `folder`, which is also their home; `afterglow` is this environment's. Returns stdout."""
    path = f"{Path(script('afterglow')).parent}:{os.environ['PATH']}"
    result = subprocess.run(
        ["sh", "-e", "-c", command],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), **environment},
        check=False,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


def run_example(example: str, names: dict[str, Any] | None = None) -> str:
    """Run a Python example and return what it prints; `names` receives its variables."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(example, {} if names is None else names)
    return output.getvalue()
