"""The simulation finds nothing; it replays a seed exactly; and it finds what is broken on purpose."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

from afterglow.collection.write import joint_commit
from afterglow.log import append
from afterglow.log.append_together import LogTip
from afterglow.log.entry import Entry
from afterglow.settings import child_environment
from afterglow.storage.ports import Check, Stores, Write
from tests.simulation.memory import MemoryTable
from tests.simulation.run import Failure, simulate

SEEDS = 200


def test_a_few_seeds() -> None:
    """The default run: both kinds of stores, with and without retention."""
    for seed in range(6):
        simulate(seed)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(4))
def test_many_seeds(part: int) -> None:
    """More on demand: `python -m tests.simulation --seeds 5000`."""
    for seed in range(part, SEEDS, 4):
        simulate(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 8])
def test_a_seed_replays_exactly(seed: int) -> None:
    """In another process as well, whose sets are in another order."""
    expected = simulate(seed)
    assert simulate(seed) == expected
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed)]
    environment = {**child_environment(), "PYTHONHASHSEED": "5"}
    replayed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"seed {seed}: {expected.digest}" in replayed.stdout


@pytest.mark.slow
def test_the_simulation_finds_writes_below_what_is_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check of the state, a writer with an outdated end of the log writes where nobody reads."""

    def without_check(table: MemoryTable, writes: Sequence[Write]) -> None:
        transact(table, [write for write in writes if not (isinstance(write, Check) and write.sk == "STATE")])

    transact = MemoryTable.transact
    monkeypatch.setattr(MemoryTable, "transact", without_check)
    assert "is put into" in failure_of(range(60))


@pytest.mark.slow
def test_the_simulation_finds_commits_in_some_of_their_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a put for each log instead of one transaction, another writer or a crash between two leaves a part."""

    def one_by_one(stores: Stores, written: Sequence[tuple[LogTip, Entry]], _: Sequence[LogTip]) -> bool:
        appended = [
            append.append_at(stores, tip.collection_id, entry, entry.seq, tip.state_version) for tip, entry in written
        ]
        return any(appended) or not written

    monkeypatch.setattr(joint_commit, "append_together", one_by_one)
    assert "acknowledged" in failure_of(range(60))


def failure_of(seeds: Sequence[int]) -> str:
    """The message of the first seed that fails."""
    for seed in seeds:
        try:
            simulate(seed)
        except Failure as failure:
            return str(failure)
    return ""
