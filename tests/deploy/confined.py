"""Runs a command with the system calls that a systemd unit allows: `python -m tests.deploy.confined UNIT COMMAND…`.

A systemd manager that could start the unit is not available everywhere. So the filter of `SystemCallFilter=` and
`MemoryDenyWriteExecute=` is built here from systemd's own lists, with the library that systemd uses.
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
"""The index of the protection argument of mmap and mprotect."""


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


def allowed(unit: Path) -> set[str]:
    """The names of the system calls that the unit allows; its filters apply in order."""
    allowed_calls: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.MULTILINE):
        names = {name for word in line.lstrip("~").split() for name in _calls(word)}
        allowed_calls = allowed_calls - names if line.startswith("~") else allowed_calls | names
    return allowed_calls


def _calls(word: str) -> set[str]:
    if not word.startswith("@"):
        return {word}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True)
    names = [line.strip() for line in listed.stdout.splitlines()[1:]]
    return {call for name in names if name and not name.startswith("#") for call in _calls(name)}


def library() -> ctypes.CDLL:
    """libseccomp. Raises OSError if it is not installed."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Comparison)
    ]  # fmt: skip
    seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
    return seccomp


def confine(calls: set[str]) -> None:
    """Restricts this process and its children to these calls; memory is never both writable and executable."""
    seccomp = library()
    rules = seccomp.seccomp_init(_ERRNO | errno.EPERM)
    protections = {
        "mmap": [(_WRITE | _EXEC, value) for value in (0, _WRITE, _EXEC)],
        "mprotect": [(_EXEC, 0)],
        "pkey_mprotect": [(_EXEC, 0)],
    }
    for call in calls:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number == _UNKNOWN:
            continue
        if call not in protections:
            # Calls of other processors have negative numbers, and adding those may fail.
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
