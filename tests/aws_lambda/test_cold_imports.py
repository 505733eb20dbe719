"""What the start of an API container imports: each module here takes milliseconds of CPU before the first answer."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import aws

FUNCTION = Path(__file__).parents[2] / "functions" / "api" / "app.py"
UNUSED = (
    "afterglow.api.legacy",
    "afterglow.api.models.schema",
    "afterglow.api.openapi",
    "afterglow.api.responses",
    "afterglow.api.v1.records",
    "afterglow.api.v2.search",
    "afterglow.bulk",
    "afterglow.collection.read.ranked_search",
    "afterglow.collection.read.values",
    "afterglow.ranking",
    "afterglow.cli",
    "afterglow.embedding.bm25",
    "afterglow.jobs",
    "afterglow.segment.writer",
    "afterglow.server",
    "afterglow.storage.aws.recovery",
    "afterglow.storage.local.table",
    "aws_xray_sdk",
    "bcrypt",
    "boto3",
    "duckdb",
    "httptools",
    "multiprocessing.pool",
    "onnxruntime",
    "pyarrow",
    "re2",
    "requests",
    "rich",
    "s3transfer",
    "tqdm",
    "usearch.index",
    "uvicorn",
)
"""Modules that a request, if any, imports when it needs them."""
START = f"import os, runpy, sys; runpy.run_path({str(FUNCTION)!r})"


def after_start(tmp_path: Path, expression: str, **variables: str) -> str:
    """What a container prints of an expression after its start."""
    environment = {
        **aws.environment(endpoint="http://127.0.0.1:9"),
        "AWS_MAX_ATTEMPTS": "1",
        "AFTERGLOW_TABLE": "table",
        "AFTERGLOW_BUCKET": "bucket",
        "AFTERGLOW_QUEUE": "http://127.0.0.1:9/queue",
        "AFTERGLOW_CACHE_DIR": str(tmp_path),
        **variables,
    }
    command = [sys.executable, "-W", "ignore", "-c", f"{START}; print({expression})"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return found.stdout.splitlines()[-1]


@pytest.mark.slow
def test_the_start_of_a_container_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    assert after_start(tmp_path, f"*(name for name in {UNUSED!r} if name in sys.modules)").split() == []


@pytest.mark.slow
def test_a_container_looks_for_no_plugins_of_pydantic_unless_it_is_to(tmp_path: Path) -> None:
    """The search reads the metadata of every installed distribution during the first request."""
    plugins = 'os.environ["PYDANTIC_DISABLE_PLUGINS"]'
    assert after_start(tmp_path, plugins) == "__all__"
    assert after_start(tmp_path, plugins, PYDANTIC_DISABLE_PLUGINS="one") == "one"
