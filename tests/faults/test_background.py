"""Folds and merges, happening all the time, change nothing that a client sees."""

from pathlib import Path

import pytest

from tests.faults.model import Programme, applied, difference, read_book
from tests.faults.test_crash import BUSY_BACKGROUND, EVERYTHING
from tests.support.server import running
from tests.support.wire import Wire


@pytest.mark.parametrize("seed", ["one", "two"])
def test_folds_and_merges_are_not_seen(tmp_path: Path, seed: str) -> None:
    """After every operation of one client, the whole collection is what the model says; after a restart too."""
    programme = Programme(0, seed)
    with running(tmp_path / "data", env=BUSY_BACKGROUND) as server, server.client() as client:
        wire = Wire(client)
        collection = wire.create("one-of-many")
        for number in range(250):
            operation = programme.next()
            if operation.verb == "delete":
                wire.delete(collection, operation.body)
            else:
                wire.write(collection, operation.verb, operation.body)
            programme.book = applied(programme.book, operation)
            found = read_book(wire.get(collection, include=EVERYTHING))
            wrong = difference(f"after operation {number} ({operation.verb})", programme.book, found)
            assert not wrong, f"seed {seed}\n{wrong}"
    with running(tmp_path / "data", env=BUSY_BACKGROUND) as server, server.client() as client:
        found = read_book(Wire(client).get(collection, include=EVERYTHING))
        assert not difference("after a restart", programme.book, found), f"seed {seed}"
