"""Arrays of a search reuse the memory of the one before, and what a large one took is returned to the system."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping

import pytest

from afterglow.settings import MMAP_BYTES, RETAINED_BYTES, child_environment

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the limits are those of glibc")

SCRIPT = f"""
import resource, sys
if sys.argv[1] == "server":
    from afterglow.server import interpreter
    interpreter.before_imports()
import numpy as np

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

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
before = resident()
blocks = [np.ones({MMAP_BYTES} // 2, dtype=np.uint8) for _ in range(64)]
held = resident() - before
blocks.clear()
print(held, resident() - before)
"""


@pytest.mark.parametrize("process", ["server", "child"])
def test_memory_is_reused_within_a_limit(process: str) -> None:
    unset = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment: Mapping[str, str] = child_environment(unset) if process == "child" else unset
    command = [sys.executable, "-c", SCRIPT, process]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    faults, held, retained = map(float, done.stdout.split())
    # Fresh pages would be 2,500 faults each time.
    assert faults < 100
    assert held > 32 * MMAP_BYTES * 0.9
    assert retained < RETAINED_BYTES + MMAP_BYTES
