"""Tells mounts apart, also those of one file system, whose device is the same (`mount --bind`); on Linux by /proc.

Elsewhere only the device of a file tells its mount.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

_UNKNOWN = -1
_ESCAPE = re.compile(rb"\\([0-7]{3})")
"""Blanks, line breaks and backslashes of a path in /proc/self/mountinfo."""


def mount_of(descriptor: int) -> int:
    """The id of the mount of an open file, -1 where the system tells none."""
    with suppress(OSError):
        for line in Path(f"/proc/self/fdinfo/{descriptor}").read_bytes().splitlines():
            name, _, value = line.partition(b":")
            if name == b"mnt_id":
                return int(value)
    return _UNKNOWN


def mount_points() -> frozenset[str]:
    """The paths of all mounts, none where the system tells none."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return frozenset()
    return frozenset(
        os.fsdecode(_ESCAPE.sub(_unescape, fields[4])) for line in lines if len(fields := line.split()) > 4
    )


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8)])
