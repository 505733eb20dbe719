"""Continuous flushes and compactions change nothing that a client sees."""

from pathlib import Path

import pytest

from tests.faults.model import Scenario, apply_operation, difference, parse_records
from tests.faults.test_crash import BUSY_BACKGROUND, EVERYTHING
from tests.support.server import running
from tests.support.wire import Wire


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["one", "two"])
def test_flushes_and_compactions_are_invisible(tmp_path: Path, seed: str) -> None:
    """After every operation of one client, and after a restart, the whole collection equals the model."""
    scenario = Scenario(0, seed)
    with running(tmp_path / "data", env=BUSY_BACKGROUND) as server, server.client() as client:
        wire = Wire(client)
        collection = wire.create("one-of-many")
        for number in range(250):
            operation = scenario.next()
            if operation.verb == "delete":
                wire.delete(collection, operation.body)
            else:
                wire.write(collection, operation.verb, operation.body)
            scenario.records = apply_operation(scenario.records, operation)
            actual = parse_records(wire.get(collection, include=EVERYTHING))
            problem = difference(f"after operation {number} ({operation.verb})", scenario.records, actual)
            assert not problem, f"seed {seed}\n{problem}"
    with running(tmp_path / "data", env=BUSY_BACKGROUND) as server, server.client() as client:
        actual = parse_records(Wire(client).get(collection, include=EVERYTHING))
        assert not difference("after a restart", scenario.records, actual), f"seed {seed}"
