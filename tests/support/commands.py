"""Runs a command of the command line in the test's own process: a new process would spend a second on its imports."""

import io
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from subprocess import CompletedProcess
from unittest.mock import patch

from afterglow.cli.main import main


def run_command(*arguments: str, env: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """Its exit code and what it wrote, as of a process."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with redirect_stdout(out), redirect_stderr(err), patch.dict(os.environ, env or {}):
        try:
            main(arguments)
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 0 if exit_.code is None else 1
    return CompletedProcess(list(arguments), code, out.getvalue(), err.getvalue())
