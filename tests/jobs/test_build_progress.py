"""The progress of a compaction, as a reader sees it: it moves, does not fall back, and is 1 only after the commit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest

from afterglow.collection import Engine
from afterglow.collection.types import IndexingStatus
from afterglow.deployment.file_lock import file_lock
from afterglow.jobs import compact as compactions
from afterglow.jobs.compact import compact
from afterglow.jobs.compaction_policy import Compaction
from afterglow.jobs.segment_limits import IndexKind
from afterglow.segment import insertion_order
from afterglow.storage.builds import Build, Builds
from tests.jobs.environment import Environment

ROWS = 400


@dataclass
class WatchedBuilds(Builds):
    """Asks for the status before a build, after every report, and after its end."""

    env: Environment
    path: Path

    def __post_init__(self) -> None:
        super().__init__(self.path)
        self.seen: list[IndexingStatus] = []

    def watch(self) -> None:
        self.seen.append(Engine(self.env.stores).indexing_status(self.env.scope))

    def report(self, build: Build) -> None:
        super().report(build)
        self.watch()

    def clear(self) -> None:
        self.watch()
        super().clear()
        self.watch()


@pytest.fixture
def builds(env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchedBuilds]:
    """The builds of a collection with rows that wait for an index; the clock runs fast, so every share is reported."""
    monkeypatch.setattr(insertion_order, "_THREAD_ROWS", 50)
    ticks = count()
    watched = WatchedBuilds(env, tmp_path / "compactor.lock")
    env.stores = replace(
        env.stores, builds=watched, system=replace(env.stores.system, monotonic=lambda: float(next(ticks)))
    )
    for first in range(0, ROWS, ROWS // 4):
        env.write(*(f"{number}" for number in range(first, first + ROWS // 4)))
        env.flush()
    with file_lock(watched.path, wait=True):
        watched.watch()
        yield watched


def of(env: Environment, kind: IndexKind, segments: int = 4) -> Compaction:
    inputs = env.replica().snapshot().manifest.segments[:segments]
    return Compaction(inputs, None, kind)


@pytest.mark.parametrize("kind", [IndexKind.GRAPH, IndexKind.LISTS])
def test_it_moves_and_is_complete_only_when_it_is_committed(
    env: Environment, builds: WatchedBuilds, kind: IndexKind
) -> None:
    compact(env.stores, env.replica().snapshot(), of(env, kind))
    before, *during, committed, cleared = builds.seen
    assert before == IndexingStatus(ROWS, 0, ROWS)
    assert len(during) > 5
    assert all((status.indexed_ops, status.total_ops) == (0, ROWS) for status in during)
    shares = [status.progress for status in builds.seen]
    assert shares == sorted(shares)
    assert len(set(shares)) > 5
    assert max(status.progress for status in during) < 1
    assert committed == cleared == IndexingStatus(ROWS, ROWS, ROWS)


def test_it_does_not_fall_back_from_one_step_to_the_next(env: Environment, builds: WatchedBuilds) -> None:
    for _ in range(2):
        compact(env.stores, env.replica().snapshot(), of(env, IndexKind.GRAPH, 2))
        env.delete("0", "399")
        env.flush()
        builds.watch()
    shares = [status.progress for status in builds.seen if status.total_ops == ROWS]
    assert shares == sorted(shares)
    assert shares[-1] >= 0.75


def test_rows_deleted_during_a_build_count_once(env: Environment, builds: WatchedBuilds) -> None:
    late = env.replica().snapshot()
    env.delete(*(f"{number}" for number in range(ROWS) if number % 50))
    env.flush()
    compact(env.stores, late, Compaction(late.manifest.segments, None, IndexKind.GRAPH))
    shares = [status.progress for status in builds.seen[1:]]
    assert shares == sorted(shares)
    assert all(status.progress < 1 for status in builds.seen if status.built_ops)


def test_a_failed_build_counts_for_nothing(
    env: Environment, builds: WatchedBuilds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(compactions, "_commit", fail)
    with pytest.raises(OSError):  # noqa: PT011  any
        compact(env.stores, env.replica().snapshot(), of(env, IndexKind.GRAPH))
    assert max(status.built_ops for status in builds.seen) > ROWS // 2
    assert builds.seen[-1] == builds.seen[0]


def test_others_are_not_concerned(env: Environment, builds: WatchedBuilds) -> None:
    (segment, *_) = env.replica().snapshot().manifest.segments
    builds.report(Build("another", segment.id, ROWS, 0.5))
    builds.report(Build(str(env.id), "merged since", ROWS, 0.5))
    assert {status.built_ops for status in builds.seen} == {0.0}
    compact(env.stores, env.replica().snapshot(), of(env, IndexKind.NONE))
    assert builds.seen[-1] == builds.seen[0], "without an index there is no build"
