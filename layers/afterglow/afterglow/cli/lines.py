"""What a command says."""

import sys


def echo(line: str) -> None:
    """A line on standard output, there at once also where that is a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
