"""Every generation of the Python client, each from its own environment: the same scenario, the same outcome."""

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
"""Up to 0.5.15 they speak v1. The oldest has no tenants, 0.4 no asynchronous client and none for a cloud."""


def expected(
    judge: str, outcome: Mapping[str, Any] = OUTCOME, since: Mapping[str, tuple[int, ...]] = SINCE
) -> dict[str, Any]:
    """The steps that this client knows, with their outcome."""
    version = tuple(int(each) for each in judge.split("-"))
    return {step: result for step, result in outcome.items() if version >= since.get(step, (0, 0, 0))}


@pytest.mark.parametrize("judge", JUDGES)
def test_the_scenario(judge: str, server: Server) -> None:
    assert python(judge, "scenario", f"http://{HOST}:{server.port}") == expected(judge)


@pytest.mark.parametrize("judge", JUDGES[2:])
def test_the_scenario_by_the_asynchronous_client(judge: str, server: Server) -> None:
    assert python(judge, "asynchronous", f"http://{HOST}:{server.port}") == expected(judge)


@pytest.mark.parametrize("judge", JUDGES[1:])
def test_tenants_and_databases(judge: str, server: Server) -> None:
    told = python(judge, "administration", f"http://{HOST}:{server.port}")
    assert told == expected(judge, administration.OUTCOME, administration.SINCE)


@pytest.mark.parametrize("judge", JUDGES[2:])
def test_keys(judge: str, guarded: tuple[str, dict[str, str]]) -> None:
    url, keys = guarded
    assert python(judge, "cloud", url, json.dumps(keys)) == expected(judge, cloud.OUTCOME, cloud.SINCE)


def test_the_genuine_server_agrees(genuine: Server) -> None:
    assert python("1-5-9", "scenario", f"http://{HOST}:{genuine.port}") == OUTCOME
