"""What the check of an account says before a deployment."""

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tests.infra import templates
from tests.infra.templates import ROOT, TEMPLATE

_SPEC = spec_from_file_location("check_account", ROOT / "infra" / "check_account.py")
assert _SPEC is not None
assert _SPEC.loader is not None
check: Any = module_from_spec(_SPEC)
_SPEC.loader.exec_module(check)


def test_the_defaults_are_those_of_the_template() -> None:
    numbers = {
        name: parameter["Default"]
        for name, parameter in templates.read(TEMPLATE)["Parameters"].items()
        if parameter["Type"] == "Number"
    }
    assert check.parameters([]) == numbers
    assert check.parameters(["ApiMemory=512", "Tracing=Active"])["ApiMemory"] == 512


def test_a_new_account_lacks_nothing_for_the_defaults() -> None:
    assert check.problems(check.parameters([]), 10) == ([], True)


def test_what_an_account_lacks_is_named() -> None:
    found, is_possible = check.problems(check.parameters(["ImporterConcurrency=3", "ApiMemory=3538"]), 10)
    concurrency, memory = found
    assert is_possible
    assert "2 are left for the API" in concurrency
    assert "ImporterConcurrency 3" in concurrency
    assert "ApiMemory is larger" in memory
    assert check.problems(check.parameters(["ApiMemory=3538"]), 1000) == ([], True)


def test_an_api_without_concurrency_is_an_error() -> None:
    assert check.problems(check.parameters(["IndexerConcurrency=50"]), 10)[1] is False


@pytest.mark.parametrize("most", [10, 1000])
def test_the_account_is_asked(most: int, tmp_path: Path) -> None:
    """The whole program, with a client of Lambda that says what the account allows."""
    (tmp_path / "boto3.py").write_text(
        "class Client:\n"
        "    def get_account_settings(self):\n"
        f"        return {{'AccountLimit': {{'ConcurrentExecutions': {most}}}}}\n"
        "class Session:\n"
        "    def __init__(self, region_name, profile_name):\n"
        "        assert (region_name, profile_name) == ('eu-west-1', None)\n"
        "    def client(self, service):\n"
        "        assert service == 'lambda'\n"
        "        return Client()\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "infra" / "check_account.py",
            "IndexerConcurrency=20",
            "--region",
            "eu-west-1",
            "--guided",
        ],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"ConcurrencyThreshold={most * 8 // 10}\n"
    assert (done.returncode, done.stderr.startswith("error: ")) == ((1, True) if most == 10 else (0, False))
