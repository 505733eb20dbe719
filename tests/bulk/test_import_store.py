"""Progress of imports: versions, failures, reports."""

from pathlib import Path

import pytest

from afterglow.bulk.import_layout import RangeProgress, folder
from afterglow.bulk.import_store import ImportStore
from afterglow.bulk.types import (
    ColumnMapping,
    Compression,
    FileFormat,
    FileRange,
    Plan,
    RangeConflict,
    Rejected,
    Target,
    decode_plan,
)
from afterglow.errors import Corrupt, NotFound, UnsupportedFormat
from tests.support.stores import stores_at

PLAN = Plan(
    id="abc",
    key="/a.jsonl",
    name="a.jsonl",
    size=10,
    version="1",
    vectors=None,
    target=Target("t", "d", "c"),
    collection_id="1",
    dimension=2,
    kind=FileFormat.JSONL,
    compression=Compression.NONE,
    columns=ColumnMapping(others=("x",)),
    delimiter=",",
    header=(),
    encoding="",
    batch_rows=5,
    ranges=(FileRange(0, 5, 1), FileRange(5, 10, 3)),
    started_at=1.0,
)


@pytest.fixture
def store(tmp_path: Path) -> ImportStore:
    stores = stores_at(tmp_path)
    return ImportStore(stores.table, stores.objects, stores.system, 3600)


def test_a_plan_is_stored_once(store: ImportStore) -> None:
    assert store.begin(PLAN) == PLAN
    assert store.plan(PLAN.target, PLAN.id) == PLAN
    assert store.progress(PLAN) == [RangeProgress(0, 0, version=1), RangeProgress(1, 5, version=1)]
    store.advance(PLAN, RangeProgress(0, 5, 2, 2, done=True, version=1))
    store.begin(PLAN)
    assert store.range_progress(PLAN, 0) == RangeProgress(0, 5, 2, 2, done=True, version=2)


def test_of_two_workers_one_advances_a_range(store: ImportStore) -> None:
    store.begin(PLAN)
    store.advance(PLAN, RangeProgress(0, 3, version=1))
    with pytest.raises(RangeConflict):
        store.advance(PLAN, RangeProgress(0, 4, version=1))


def test_the_report_of_a_failed_import(store: ImportStore) -> None:
    store.begin(PLAN)
    store.add_rejected(PLAN, 0, 0, [Rejected(2, "no JSON")])
    store.advance(PLAN, RangeProgress(0, 5, 2, 1, 1, done=True, version=1))
    assert store.report("t", "d", "abc").state == "running"
    store.fail(PLAN, "the first reason")
    store.fail(PLAN, "another")
    report = store.finish(PLAN)
    assert (report.state, report.reason, report.rows, report.rejected) == ("failed", "the first reason", 1, 1)
    assert (report.ranges, report.ranges_done) == (2, 1)
    assert store.list("t", "d") == [report] == [store.finish(PLAN)]
    assert list(store.errors("t", "d", "abc")) == [{"file": "a.jsonl", "line": 2, "reason": "no JSON"}]
    store.resume(PLAN)
    assert store.failure(PLAN) is None
    store.delete("t", "d", "abc")
    assert store.list("t", "d") == []
    with pytest.raises(NotFound):
        store.report("t", "d", "abc")


def test_tenant_names_do_not_leave_the_folder() -> None:
    assert folder("../x", "d", "1") == "imports/.status/%2E%2E%2Fx/d/1/"


def test_plans_of_other_formats_are_refused() -> None:
    assert decode_plan(PLAN.encode(), "p") == PLAN
    with pytest.raises(UnsupportedFormat):
        decode_plan(b'{"format": 0}', "p")
    with pytest.raises(Corrupt):
        decode_plan(b"{}", "p")


def test_a_plan_of_the_format_without_a_checksum_is_read() -> None:
    stored = (Path(__file__).parent / "stored" / "plan-format-3.json").read_bytes()
    assert decode_plan(stored, "p") == PLAN


def test_every_flipped_bit_of_a_plan_is_found() -> None:
    stored = PLAN.encode()
    for bit in range(8 * len(stored)):
        damaged = bytearray(stored)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Corrupt):
            decode_plan(bytes(damaged), "p")


def test_a_damaged_plan_does_not_keep_its_file_from_being_imported(store: ImportStore) -> None:
    store.begin(PLAN)
    key = folder("t", "d", "abc") + "plan.json"
    store.objects.put(key, store.objects.get(key).replace(b'"batch_rows":5', b'"batch_rows":6'))
    with pytest.raises(Corrupt, match=r"plan\.json does not match its checksum; .*--force"):
        store.begin(PLAN)
    store.delete("t", "d", "abc")
    assert store.begin(PLAN) == PLAN
