"""A second deployment: what is new in the library and in the parameters reaches the API, and old versions go."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import deployment
from tests.support.deployment import client
from tests.support.ministack import MiniStack, ministack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

MARK = "from the second deployment"


@pytest.fixture
def account() -> Iterator[MiniStack]:
    with ministack(auth=True, tls=True) as running:
        yield running
        deployment.close_clients(running)


def changed_library(build: Path, into: Path) -> Path:
    """A copy of a build, whose heartbeat has another key."""
    copy = Path(shutil.copytree(build, into / "build", symlinks=True))
    module = copy / "AfterglowLayer" / "python" / "afterglow" / "api" / "v2" / "system.py"
    source = module.read_text()
    assert source.count('"nanosecond heartbeat"') == 1
    module.write_text(source.replace('"nanosecond heartbeat"', f'"{MARK}"'))
    for compiled in module.parent.glob("__pycache__/system.*.pyc"):
        compiled.unlink()
    return copy


def test_a_new_library_and_new_parameters_reach_the_api(account: MiniStack, build: Path, tmp_path: Path) -> None:
    stack = deployment.deployed(account, build, "updated", Authentication="off")
    assert stack.status("/api/v2/auth/identity") == 200
    assert "nanosecond heartbeat" in json.loads(stack.body("/api/v2/heartbeat"))
    function = stack.resources()["ApiFunction"]

    def versions() -> list[str]:
        found = client(account, "lambda").list_versions_by_function(FunctionName=function)["Versions"]
        return [version["Version"] for version in found if version["Version"] != "$LATEST"]

    (first,) = versions()

    # A parameter alone: the code is the same.
    stack = deployment.deployed(account, build, "updated", Authentication="keys", MaxBatchSize=77)
    assert stack.status("/api/v2/auth/identity") == 401, "the API is still open"
    assert json.loads(stack.body("/api/v2/pre-flight-checks"))["max_batch_size"] == 77
    (second,) = versions()
    assert second != first

    # The library alone: the code of the function and the parameters are the same.
    stack = deployment.deployed(
        account, changed_library(build, tmp_path), "updated", Authentication="keys", MaxBatchSize=77
    )
    assert MARK in json.loads(stack.body("/api/v2/heartbeat"))
    (third,) = versions()
    assert third not in {first, second}
