"""Every generation of the Python client, each in its own environment: the same scenario, the same outcome."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.clients import administration, cloud
from tests.clients.judges import python
from tests.clients.scenario import OUTCOME, SINCE
from tests.support.server import HOST, Server

pytestmark = pytest.mark.clients

JUDGES = ("0-4-0", "0-4-24", "0-5-15", "0-5-23", "0-6-3", "1-0-21", "1-5-9")
"""Up to 0.5.15 they use API v1. The oldest has no tenants, 0.4 has no asynchronous client and no cloud client."""


def expected(
    judge: str, outcome: Mapping[str, Any] = OUTCOME, since: Mapping[str, tuple[int, ...]] = SINCE
) -> dict[str, Any]:
    """The steps that this client supports, with their outcomes."""
    version = tuple(int(number) for number in judge.split("-"))
    return {step: result for step, result in outcome.items() if version >= since.get(step, (0, 0, 0))}


@pytest.mark.parametrize("judge", JUDGES)
def test_the_scenario(judge: str, server: Server) -> None:
    assert python(judge, "scenario", f"http://{HOST}:{server.port}") == expected(judge)


@pytest.mark.parametrize("judge", JUDGES[2:])
def test_the_scenario_with_the_asynchronous_client(judge: str, server: Server) -> None:
    assert python(judge, "asynchronous", f"http://{HOST}:{server.port}") == expected(judge)


@pytest.mark.parametrize("judge", JUDGES[1:])
def test_tenants_and_databases(judge: str, server: Server) -> None:
    outcome = python(judge, "administration", f"http://{HOST}:{server.port}")
    assert outcome == expected(judge, administration.OUTCOME, administration.SINCE)


@pytest.mark.parametrize("judge", JUDGES[2:])
def test_keys(judge: str, server_with_keys: tuple[str, dict[str, str]]) -> None:
    url, keys = server_with_keys
    assert python(judge, "cloud", url, json.dumps(keys)) == expected(judge, cloud.OUTCOME, cloud.SINCE)


def test_the_server_of_chroma_agrees(chroma_server: Server) -> None:
    assert python("1-5-9", "scenario", f"http://{HOST}:{chroma_server.port}") == OUTCOME
