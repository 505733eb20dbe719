"""Arrays of a search reuse the memory of the one before, and what large requests took is returned to the system."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping

import pytest

from afterglow.settings import MMAP_BYTES, RETAINED_BYTES, child_environment

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the limits are those of glibc")

COMMON = """
import resource, sys
from afterglow import allocator
from afterglow.server import interpreter
if sys.argv[1] == "server":
    interpreter.before_imports()
import numpy as np

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
"""
REUSE = f"""{COMMON}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def search():
    for size in (300_000, 2_000_000, 8_000_000):
        np.ones(size, dtype=np.uint8)

search()
before = faults()
for _ in range(100):
    search()
print((faults() - before) / 100)
"""
RETURN = f"""{COMMON}
memory = allocator.FreeMemory()
assert not memory.return_if_grown()
before = resident()
# Between large blocks lie small ones, which outlive them.
blocks = [(np.ones({MMAP_BYTES} // 2, dtype=np.uint8), np.ones(50_000, dtype=np.uint8)) for _ in range(32)]
held = resident() - before
small = [block[1] for block in blocks]
# All of it is in use: checks return nothing, and more and more of them are skipped.
assert not any(memory.return_if_grown() > 1_000_000 for _ in range(20))
blocks.clear()
retained = resident() - before
checks = 0
while not memory.return_if_grown():
    checks += 1
print(held, retained, resident() - before, checks)
assert not memory.return_if_grown()
"""


def run(script: str, process: str) -> list[float]:
    """The numbers that it prints."""
    unset = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment: Mapping[str, str] = child_environment(unset) if process == "child" else unset
    command = [sys.executable, "-c", script, process]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [float(number) for number in done.stdout.split()]


@pytest.mark.parametrize("process", ["server", "child"])
def test_searches_reuse_memory(process: str) -> None:
    (faults,) = run(REUSE, process)
    # Fresh pages would be 2,500 faults each time.
    assert faults < 100


@pytest.mark.parametrize("process", ["server", "child"])
def test_free_memory_between_blocks_in_use_is_returned(process: str) -> None:
    held, retained, returned, checks = run(RETURN, process)
    assert held > 16 * MMAP_BYTES * 0.9
    assert retained > RETAINED_BYTES
    assert returned < RETAINED_BYTES / 4
    assert 0 < checks < 32
