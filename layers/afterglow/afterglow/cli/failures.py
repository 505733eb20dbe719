"""How a command says that it cannot: one line on standard error and an exit code, no traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from afterglow.errors import AfterglowError
from afterglow.settings import AWS_DEFAULTS, Settings, from_environment

FAILED = 1
MISUSED = 2


def exit_with(message: str, code: int = FAILED) -> NoReturn:
    """Ends the program with `code` after one line."""
    sys.stderr.write("afterglow: " + " ".join(message.split()) + "\n")
    raise SystemExit(code)


def settings(*, aws: bool = False) -> Settings:
    """The settings from the environment; ends the program with 2 if they cannot be read."""
    try:
        return from_environment(defaults=AWS_DEFAULTS if aws else Settings())
    except ValueError as error:
        exit_with(str(error), MISUSED)


@contextmanager
def error_boundary() -> Iterator[None]:
    """Turns what the library and the system refuse into one line and exit code 1; Ctrl-C into 130."""
    try:
        yield
    except AfterglowError as error:
        exit_with(error.message)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        exit_with(f"{os.fspath(error.filename)}: {reason}" if isinstance(error.filename, str | os.PathLike) else reason)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
