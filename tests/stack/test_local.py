"""`sam local invoke` without Docker: SAM resolves what a container gets, and Lambda's runtime client runs it.

The account is emulated, and prepared by the command that the docs name. Every event of events/ is invoked.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.functions.loading import EVENTS, ROOT, event
from tests.functions.test_api import STORY
from tests.stack.test_runtime import answer
from tests.support.aws import environment
from tests.support.deployment import SAM
from tests.support.ministack import fresh_account, ministack
from tests.support.runtime import Function

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

PROGRAM = """
import json, sys
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
from samcli.local.lambdafn.env_vars import EnvironmentVariables
folder = sys.argv[1]
stacks, _ = SamLocalStackProvider.get_stacks(folder + "/local.yaml")
given = json.load(open(folder + "/env.json"))
found = {}
for function in SamFunctionProvider(stacks).get_all():
    if function.name in given:
        variables = (function.environment or {})["Variables"]
        passed = EnvironmentVariables(
            function.name, function.memory, function.timeout, function.handler,
            variables=variables, override_values=given[function.name],
        )
        found[function.name] = passed.resolve()
json.dump(found, sys.stdout)
"""
LAYERS = ("DependenciesLayer", "AfterglowLayer", "ImportsLayer")


class Account:
    """A prepared account, and the functions that were started in it by name."""

    def __init__(self, build: Path, passed: dict[str, dict[str, str]], folder: Path, running: ExitStack) -> None:
        self.build, self.passed, self.folder, self.running = build, passed, folder, running
        self.started: dict[str, Function] = {}

    def invoke(self, name: str, sent: dict[str, Any]) -> dict[str, Any]:
        if name not in self.started:
            variables = {**self.passed[name], "AFTERGLOW_CACHE_DIR": str(self.folder / name)}
            layers = [self.build / layer for layer in LAYERS]
            function = Function(self.build / name, layers, variables, self.folder / f"{name}.log", seconds=300)
            self.started[name] = self.running.enter_context(function)
        got: dict[str, Any] = self.started[name].invoke(sent)
        return got


@pytest.fixture
def account(build: Path, tmp_path: Path) -> Iterator[Account]:
    with ExitStack() as running:
        aws = running.enter_context(ministack())
        credentials = {**os.environ, **environment(fresh_account())}
        subprocess.run(
            [SAM.parent / "python", ROOT / "infra" / "local_account.py", "--endpoint", aws.url, "--build", build],
            env=credentials,
            check=True,
        )
        done = subprocess.run(
            [SAM.parent / "python", "-c", PROGRAM, build], env=credentials, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        passed = json.loads(done.stdout)
        for name in passed:
            passed[name].update({key: credentials[key] for key in environment()})
        yield Account(build, passed, tmp_path, running)


def test_every_event_is_handled_with_what_sam_passes(account: Account) -> None:
    invoked = set()
    collection = ""
    for name in (*(f"api-{name}" for name in STORY[:-1]), "url-heartbeat", "url-query"):
        got = answer(account.invoke("ApiFunction", event(name, collection)))
        collection = got["id"] if name == "api-create-collection" else collection
        invoked.add(name)
    for function in ("IndexerFunction", "CompactorFunction"):
        assert account.invoke(function, event("indexer-message", collection)) == {"batchItemFailures": []}
    # The file that the event names was never put: the importer says so in a report, and is done with the message.
    assert account.invoke("ImporterFunction", event("importer-put")) == {"batchItemFailures": []}
    for name in ("maintenance-enqueue-stale", "maintenance-clean-up"):
        account.invoke("MaintenanceFunction", event(name))
        invoked.add(name)
    answer(account.invoke("ApiFunction", event("api-delete-collection", collection)))
    invoked |= {"indexer-message", "importer-put", "api-delete-collection"}
    assert invoked == {path.stem for path in EVENTS.glob("*.json")}
