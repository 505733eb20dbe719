"""Chroma's default embedding function works in the process of an embedded client: its library loads beside ours."""

import subprocess
import sys

import pytest

PROGRAM = """
import afterglow
with afterglow.EphemeralClient() as client:
    import usearch.index
    import onnxruntime
    print("loaded")
"""


@pytest.mark.slow
def test_its_library_loads_after_the_index_library() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "loaded", result.stderr
