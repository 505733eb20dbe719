"""Each row counts once: whatever fails between two calls, whoever works on a range beside another, and after both."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from afterglow.bulk import planner, range_import, sidecar
from afterglow.bulk.import_layout import RangeProgress
from afterglow.bulk.range_import import Outcome
from afterglow.bulk.sidecar import GivenOptions
from afterglow.bulk.sources import Source, file_source
from afterglow.bulk.types import Plan
from afterglow.collection import Batch, Op
from afterglow.errors import AfterglowError
from tests.bulk import files
from tests.bulk.files import TARGET, TINY, ImportFixture, expected, import_fixture, import_fixture_at, sample
from tests.support.faulty import Crash, Fault, Faults, nth, seeded
from tests.support.stores import quick_folder

OF = sample(24, 4)
SETTINGS = replace(TINY, import_range_bytes=900, log_inline_max_bytes=100)
SAID = sidecar.from_json({"batch_size": 4})
BAD = b'{"id": "bad"}\n'


@contextmanager
def crashed(path: Path, folder: Path, faults: Faults) -> Iterator[None]:
    """An import that meets these faults; what is left of it is left."""
    at = import_fixture_at(folder, SETTINGS, faults)
    try:
        at.run(path, SAID)
    except (Crash, AfterglowError):
        pass
    yield


def written(folder: Path) -> Path:
    path = folder / "records.jsonl"
    lines = files.lines(OF).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]) + BAD + b"".join(lines[5:]))
    return path


def calls_of_one_import(path: Path) -> int:
    faults = Faults()
    with quick_folder() as folder:
        import_fixture_at(folder, SETTINGS)
        import_fixture_at(folder, SETTINGS, faults).run(path, SAID)
    return len(faults.calls)


def check(path: Path, folder: Path, *, most: int | None = None) -> None:
    """After another run everything is there, and nothing was appended twice."""
    at = import_fixture_at(folder, SETTINGS)
    report = at.run(path, SAID)
    assert (report.state, report.reason, report.rows, report.rejected) == ("done", None, len(OF.ids), 1)
    assert at.contents() == expected(OF)
    assert at.appended() == (most or len(OF.ids))
    assert [(error["line"], error["reason"]) for error in at.errors(report)] == [(6, "it has no embedding")]
    at.engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_crash_at_any_call(fault: Fault, tmp_path: Path) -> None:
    path = written(tmp_path)
    calls = calls_of_one_import(path)
    assert calls > 60
    for number in range(0, calls, 3 if fault is Fault.CRASH_BEFORE else 2):
        with quick_folder() as folder:
            import_fixture_at(folder, SETTINGS).engine.close()
            with crashed(path, folder, Faults(nth(number, fault))):
                check(path, folder)


@pytest.mark.parametrize("seed", range(12))
def test_failures_all_over(seed: int, tmp_path: Path) -> None:
    path = written(tmp_path)
    faults = [Fault.REFUSED, Fault.LOST]
    with quick_folder() as folder:
        import_fixture_at(folder, SETTINGS).engine.close()
        for attempt in range(4):
            with crashed(path, folder, Faults(seeded(100 * seed + attempt, 0.08, faults))):
                continue
        check(path, folder)


def planned(at: ImportFixture, path: Path) -> tuple[Plan, Source]:
    source = file_source(path)
    assert source is not None
    plan = planner.make_plan(
        source, TARGET, GivenOptions(SAID), at.context.sink, settings=SETTINGS, system=at.context.system
    )
    return at.context.store.begin(plan), source


def test_two_on_one_range_take_turns(tmp_path: Path) -> None:
    """What SQS delivers twice: the second begins whenever the first has done another batch."""
    path = written(tmp_path)
    with import_fixture(SETTINGS) as at:
        plan, source = planned(at, path)
        nested = [0]

        def other(progress: RangeProgress) -> None:
            if nested[0] < 3:
                nested[0] += 1
                range_import.import_range(
                    at.context,
                    plan,
                    source,
                    progress.number,
                    should_continue=lambda: nested[0] % 2 == 0,
                    on_progress=other,
                )

        for number in range(len(plan.ranges)):
            nested[0] = 0
            assert range_import.import_range(at.context, plan, source, number, on_progress=other) is Outcome.DONE
        report = at.context.store.finish(plan)
        assert (report.state, report.rows, report.rejected) == ("done", len(OF.ids), 1)
        assert at.contents() == expected(OF)
        assert at.appended() == len(OF.ids)


def test_a_stale_invocation_overwrites_nothing_newer(tmp_path: Path) -> None:
    path = written(tmp_path)
    with import_fixture(SETTINGS) as at:
        plan, source = planned(at, path)
        write = at.context.sink.write
        once: list[int] = []

        def late(*arguments: object) -> None:
            """Between the reading of a batch and its append another does all of it, and a client changes a record."""
            if not once:
                once.append(1)
                for number in range(len(plan.ranges)):
                    range_import.import_range(at.context, plan, source, number)
                at.engine.write(at.scope(), Batch(Op.UPDATE, [OF.ids[0]], documents=["changed by a client"]))
            write(*arguments)  # type: ignore[arg-type]

        class Late:
            max_rows = at.context.sink.max_rows
            open = staticmethod(at.context.sink.open)
            write = staticmethod(late)

        site = replace(at.context, sink=Late())
        for number in range(len(plan.ranges)):
            assert range_import.import_range(site, plan, source, number) is Outcome.DONE
        assert at.context.store.finish(plan).rows == len(OF.ids)
        assert at.contents()[OF.ids[0]][1] == "changed by a client"
        assert at.appended() == len(OF.ids) + 1


def test_time_runs_out_and_another_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path)
    with import_fixture(SETTINGS) as at:
        plan, source = planned(at, path)
        rounds = 0
        for number in range(len(plan.ranges)):
            while (
                range_import.import_range(at.context, plan, source, number, should_continue=lambda: False)
                is Outcome.UNFINISHED
            ):
                rounds += 1
        assert rounds >= 2
        assert at.context.store.finish(plan).rows == len(OF.ids)
        assert at.contents() == expected(OF)
        assert at.appended() == len(OF.ids)


@pytest.mark.parametrize("name", ["csv", "gzip", "zstd", "pyarrow", "npy", "xlsx"])
def test_every_format_goes_on_where_it_was(name: str, tmp_path: Path) -> None:
    path = files.FORMATS[name](OF, tmp_path)
    with import_fixture(SETTINGS) as at:
        plan, source = planned(at, path)
        for number in range(len(plan.ranges)):
            while (
                range_import.import_range(at.context, plan, source, number, should_continue=lambda: False)
                is Outcome.UNFINISHED
            ):
                pass
        assert at.context.store.finish(plan).rows == len(OF.ids)
        assert at.contents() == expected(OF)
        assert at.appended() == len(OF.ids)


def test_a_collection_that_is_dropped_meanwhile(tmp_path: Path) -> None:
    path = written(tmp_path)
    with import_fixture(SETTINGS) as at:
        plan, source = planned(at, path)
        range_import.import_range(at.context, plan, source, 0)
        at.engine.delete_collection(TARGET.tenant, TARGET.database, TARGET.collection)
        range_import.import_range(at.context, plan, source, 1)
        report = at.context.store.finish(plan)
        assert report.state == "failed"
        assert "does not exist" in (report.reason or "")


def test_reports_are_deleted_after_their_ttl(tmp_path: Path) -> None:
    path = written(tmp_path)
    with import_fixture(replace(SETTINGS, import_report_ttl_seconds=1_000)) as at:
        old = at.run(path, SAID)
        at.stores.system.sleep(2_000)
        (tmp_path / "more").mkdir()
        new = at.run(files.write_jsonl(sample(3, 4), tmp_path / "more"), SAID)
        assert at.context.store.list(TARGET.tenant, TARGET.database) == [new]
        assert not at.stores.table.query(f"IMPORT#{old.id}")
