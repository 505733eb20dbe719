"""`afterglow backup`: a copy of a data directory, which may be in use."""

import sys
from pathlib import Path

from afterglow.jobs.backup import backup as copy
from afterglow.jobs.directory import existing, open_directory
from afterglow.settings import Ambient


def backup(path: Path, into: Path, keep: int | None) -> None:
    """Copies the data directory `path` into a new folder in `into`, and says so.

    Raises NotFound, and what copying raises.
    """
    ambient = Ambient()
    directory = open_directory(existing(path), ambient)
    try:
        made = copy(directory, into, ambient, keep=keep)
    finally:
        directory.table.close()
    sys.stdout.write(f"{made.path}: {made.objects} objects, {made.new} of them new\n")
    for each in made.removed:
        sys.stdout.write(f"{each}: removed\n")
