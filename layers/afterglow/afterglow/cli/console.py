"""What a command writes to the terminal, its exit code, and how it reacts to errors and Ctrl-C."""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from afterglow.errors import AfterglowError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REJECTED_ROWS = 3
EXIT_INTERRUPTED = 130


def echo(line: str) -> None:
    """Writes a line to standard output and flushes it, for readers of a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes rows below headings to standard output, columns as wide as their widest cell."""
    table = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def notice(line: str) -> None:
    """Writes a line to standard error, prefixed with the program's name."""
    sys.stderr.write("afterglow: " + " ".join(line.split()) + "\n")


def exit_with(message: str, code: int = EXIT_FAILED) -> NoReturn:
    """Writes the message as one line to standard error and exits with `code`."""
    notice(message)
    raise SystemExit(code)


@contextmanager
def error_boundary() -> Iterator[None]:
    """Turns an AfterglowError or OSError into one line and exit code 1, and Ctrl-C into exit code 130.

    An argument that is not UTF-8 gets exit code 2 where it has to be text. Characters that the encoding of standard
    output lacks are written as escapes.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    except AfterglowError as error:
        exit_with(error.message)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        exit_with(f"{os.fspath(error.filename)}: {reason}" if isinstance(error.filename, str | os.PathLike) else reason)
    except UnicodeEncodeError as error:
        exit_with(f"not UTF-8: {error.object[:100]!a}", EXIT_USAGE)
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Makes sure that Ctrl-C ends a long loop; the loop calls the yielded function between two steps.

    Python raises KeyboardInterrupt at whatever line is running. Raised in a destructor or another callback, it is
    printed and discarded, and the loop would run to its end. The yielded function raises KeyboardInterrupt again if
    SIGINT has arrived since.
    """
    was_interrupted = False

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal was_interrupted
        was_interrupted = True
        raise KeyboardInterrupt

    def check() -> None:
        if was_interrupted:
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, on_signal)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, previous)
