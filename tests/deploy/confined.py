"""Runs a command under the calls that a systemd unit leaves it: `python -m tests.deploy.confined UNIT COMMAND…`.

What systemd makes of `SystemCallFilter=` and `MemoryDenyWriteExecute=` is put together here from its own lists, by the
library that systemd uses, as a manager to start the unit with is not to be had everywhere.
"""

import ctypes
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_UNKNOWN = -1
_MASKED_EQUAL = 7
_WRITE, _EXEC = 2, 4
_PROTECTION = 2
"""The argument of mmap and mprotect."""


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


def allowed(unit: Path) -> set[str]:
    """The names of the calls that the unit's filters leave, in the order that they are given."""
    found: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.MULTILINE):
        names = {name for word in line.lstrip("~").split() for name in _calls(word)}
        found = found - names if line.startswith("~") else found | names
    return found


def _calls(word: str) -> set[str]:
    if not word.startswith("@"):
        return {word}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True)
    names = [line.strip() for line in listed.stdout.splitlines()[1:]]
    return {call for name in names if name and not name.startswith("#") for call in _calls(name)}


def library() -> ctypes.CDLL:
    """libseccomp. Raises OSError where there is none."""
    found = ctypes.CDLL("libseccomp.so.2")
    found.seccomp_init.restype = ctypes.c_void_p
    found.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Comparison)
    ]  # fmt: skip
    found.seccomp_load.argtypes = [ctypes.c_void_p]
    return found


def confine(calls: set[str]) -> None:
    """Leave this process, and what it starts, these calls; and no memory that is, or was, written and then run."""
    seccomp = library()
    rules = seccomp.seccomp_init(_ERRNO | errno.EPERM)
    protections = {
        "mmap": [(_WRITE | _EXEC, each) for each in (0, _WRITE, _EXEC)],
        "mprotect": [(_EXEC, 0)],
        "pkey_mprotect": [(_EXEC, 0)],
    }
    for call in calls:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number == _UNKNOWN:
            continue
        if call not in protections:
            # Names of other processors have negative numbers, which cannot be exact here.
            added = seccomp.seccomp_rule_add_array(rules, _ALLOW, number, 0, None)
            assert added == 0 or number < 0, call
        for mask, value in protections.get(call, []):
            comparison = _Comparison(_PROTECTION, _MASKED_EQUAL, mask, value)
            assert seccomp.seccomp_rule_add_array(rules, _ALLOW, number, 1, ctypes.byref(comparison)) == 0, call
    assert seccomp.seccomp_load(rules) == 0


def main() -> None:
    unit, *command = sys.argv[1:]
    confine(allowed(Path(unit)))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
