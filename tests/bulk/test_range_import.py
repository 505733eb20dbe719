"""The work on one range: interrupted, failed and overtaken."""

from pathlib import Path

import pytest

from afterglow.bulk import planner
from afterglow.bulk.range_import import Outcome, import_range
from afterglow.bulk.sidecar import GivenOptions
from afterglow.bulk.sources import FileSource, file_source
from afterglow.bulk.types import Plan
from tests.bulk.files import TARGET, ImportFixture, expected, import_fixture, sample, write_jsonl

SAMPLE = sample(40)


def _begin(at: ImportFixture, folder: Path) -> tuple[Plan, FileSource]:
    source = file_source(write_jsonl(SAMPLE, folder))
    assert source is not None
    context = at.context
    plan = planner.make_plan(
        source, TARGET, GivenOptions(), context.sink, settings=context.settings, system=context.system
    )
    assert len(plan.ranges) > 1
    return context.store.begin(plan), source


def test_an_interrupted_range_continues(tmp_path: Path) -> None:
    with import_fixture() as at:
        plan, source = _begin(at, tmp_path)
        outcomes = set()
        for number in range(len(plan.ranges)):
            while (
                outcome := import_range(at.context, plan, source, number, should_continue=lambda: False)
            ) is not Outcome.DONE:
                outcomes.add(outcome)
        assert at.contents() == expected(SAMPLE)
        assert at.appended() == len(SAMPLE.ids)
        assert all(progress.done for progress in at.context.store.progress(plan))


@pytest.mark.parametrize(("change", "reason"), [(Path.unlink, "removed"), (Path.touch, "replaced")])
def test_a_file_that_changes_fails_the_import(change: object, reason: str, tmp_path: Path) -> None:
    with import_fixture() as at:
        plan, source = _begin(at, tmp_path)
        assert callable(change)
        change(source.path)
        assert import_range(at.context, plan, source, 0) is Outcome.DONE
        failure = at.context.store.failure(plan)
        assert failure is not None
        assert reason in failure or "is gone" in failure
        assert import_range(at.context, plan, source, 1) is Outcome.DONE
        assert not at.context.store.progress(plan)[1].done
