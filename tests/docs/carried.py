"""What the pages show, carried out: commands, and examples in Python."""

import contextlib
import io
import os
import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

from tests.support.server import script


def commands(text: str) -> str:
    """What a page, or a part of one, sets as code."""
    return textwrap.dedent("\n".join(re.findall(r"^ {4}.*$", text, re.MULTILINE)))


def examples(page: Path) -> list[str]:
    """The examples in Python."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def carried_out(command: str, folder: Path, **environment: str) -> str:
    """What commands print, of which `afterglow` is this environment's; `folder` is where they are and their home."""
    path = f"{Path(script('afterglow')).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", command],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), **environment},
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    )
    return done.stdout


def printed(example: str, names: dict[str, Any] | None = None) -> str:
    """What an example prints; what it names is in `names` afterwards."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(example, {} if names is None else names)
    return output.getvalue()
