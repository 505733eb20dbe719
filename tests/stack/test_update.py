"""A second deployment: what is new in the library and in the parameters reaches the API, and old versions go.

Meanwhile a reader and a writer go on, on data of the deployment before; none of their requests fails.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.stack.test_deploy import eventually, invoke
from tests.stack.traffic import traffic
from tests.support import deployment
from tests.support.deployment import Deployment, client, stack_of
from tests.support.ministack import MiniStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

MARK = "from the second deployment"
RECORDS = 600


def changed_library(build: Path, into: Path) -> Path:
    """A copy of a build, whose heartbeat has another key."""
    copy = Path(shutil.copytree(build, into / "build", symlinks=True, copy_function=os.link))
    module = copy / "AfterglowLayer" / "python" / "afterglow" / "api" / "v2" / "system.py"
    source = module.read_text()
    assert source.count('"nanosecond heartbeat"') == 1
    module.unlink()
    module.write_text(source.replace('"nanosecond heartbeat"', f'"{MARK}"'))
    for compiled in module.parent.glob("__pycache__/system.*.pyc"):
        compiled.unlink()
    return copy


@pytest.fixture(scope="module")
def stack(deployed: Deployment) -> Deployment:
    """With records in a segment and in the log."""
    made = stack_of(deployed, "updated", Authentication="off")
    vectors = np.random.default_rng(1).normal(size=(RECORDS, 8)).astype(np.float32)
    with made.client() as chroma:
        collection = chroma.create_collection("before")
        collection.add(ids=[f"old-{row}" for row in range(RECORDS // 2)], embeddings=vectors[: RECORDS // 2])
        invoke(made, "MaintenanceFunction", {"task": "enqueue_stale"})
        eventually(lambda: collection.get_indexing_status().num_unindexed_ops == 0, "not indexed", made)
        collection.add(ids=[f"old-{row}" for row in range(RECORDS // 2, RECORDS)], embeddings=vectors[RECORDS // 2 :])
    return made


@contextmanager
def clients_go_on(stack: Deployment) -> Iterator[None]:
    """A reader and a writer of the collection, none of whose requests fails."""
    with (
        stack.client() as reader,
        stack.client() as writer,
        traffic(reader.get_collection("before"), writer.get_collection("before")),
    ):
        yield


def test_a_new_library_and_new_parameters_reach_the_api(
    aws: MiniStack, stack: Deployment, build: Path, tmp_path: Path
) -> None:
    assert stack.status("/api/v2/auth/identity") == 200
    assert "nanosecond heartbeat" in json.loads(stack.body("/api/v2/heartbeat"))
    function = stack.resources()["ApiFunction"]

    def versions() -> list[str]:
        found = client(aws, "lambda").list_versions_by_function(FunctionName=function)["Versions"]
        return [version["Version"] for version in found if version["Version"] != "$LATEST"]

    (first,) = versions()

    # A parameter alone: the code is the same.
    with clients_go_on(stack):
        stack_of(stack, "updated", Authentication="keys", MaxBatchSize=77)
    assert stack.status("/api/v2/auth/identity") == 401, "the API is still open"
    assert json.loads(stack.body("/api/v2/pre-flight-checks"))["max_batch_size"] == 77
    (second,) = versions()
    assert second != first

    # The library alone: the code of the function and the parameters are the same.
    with clients_go_on(stack):
        deployment.deployed(aws, changed_library(build, tmp_path), "updated", Authentication="keys", MaxBatchSize=77)
    assert MARK in json.loads(stack.body("/api/v2/heartbeat"))
    (third,) = versions()
    assert third not in {first, second}
