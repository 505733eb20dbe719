"""Objects when S3 fails: bodies that break off, races, downloads that never finish, uploads in parts."""

from pathlib import Path

import numpy as np
import pytest

from afterglow.errors import AfterglowError, Busy, Unavailable
from afterglow.metering import collect_usage
from afterglow.storage.aws import transfer
from afterglow.storage.aws.clients import Clients
from afterglow.storage.ports import ConditionFailed, ObjectNotFound, Stores
from tests.contract.racing import in_threads
from tests.support.aws import Made, guarded_clients
from tests.support.fault_injection import (
    Fault,
    FaultInjector,
    break_body,
    crash_after_request,
    error_response,
    replace_body,
    response_lost,
    run_first,
    truncate_body,
    unreachable,
)
from tests.support.faulty import Crash

pytestmark = pytest.mark.slow

FAILED = error_response(500, "InternalError")
SLOW_DOWN = error_response(503, "SlowDown")
RACED = error_response(409, "ConditionalRequestConflict")
CONTENT = np.random.default_rng(1).bytes(4_500)


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "RANGE_BYTES", 1_000)
    monkeypatch.setattr(transfer, "_CHUNK", 100)


@pytest.mark.parametrize("faults", [[SLOW_DOWN, SLOW_DOWN], [FAILED, unreachable], [RACED] * 4])
def test_transient_faults_are_not_noticed(stores: Stores, s3: FaultInjector, faults: list[Fault]) -> None:
    s3.plan("PutObject", *faults)
    stores.objects.put("key", CONTENT, if_absent=True)
    assert stores.objects.get("key") == CONTENT


def test_permanent_faults_are_reported(stores: Stores, s3: FaultInjector) -> None:
    s3.always("PutObject", RACED)
    with pytest.raises(Unavailable, match="ConditionalRequestConflict"):
        stores.objects.put("key", CONTENT, if_absent=True)
    assert s3.attempts["PutObject"] == 6
    s3.always("PutObject", SLOW_DOWN)
    with pytest.raises(Busy):
        stores.objects.put("key", CONTENT)
    s3.always("GetObject", FAILED)
    with pytest.raises(Unavailable, match="bucket afterglow"):
        stores.objects.get("key")


def test_a_put_whose_answer_was_lost_is_there(stores: Stores, s3: FaultInjector) -> None:
    s3.plan("PutObject", response_lost)
    stores.objects.put("key", CONTENT)
    assert stores.objects.get("key") == CONTENT
    s3.plan("PutObject", response_lost)
    with pytest.raises(ConditionFailed):
        stores.objects.put("other", CONTENT, if_absent=True)
    assert stores.objects.get("other") == CONTENT


@pytest.mark.parametrize("fault", [break_body(1_000), truncate_body(1_000)])
def test_a_body_that_breaks_off_is_read_again(stores: Stores, s3: FaultInjector, fault: Fault) -> None:
    stores.objects.put("key", CONTENT)
    s3.plan("GetObject", fault, fault)
    assert stores.objects.get("key") == CONTENT
    s3.plan("GetObject", fault)
    assert stores.objects.get("key", 500, 2_000) == CONTENT[500:2_500]
    s3.always("GetObject", fault)
    with pytest.raises(Unavailable):
        stores.objects.get("key")
    assert s3.attempts["GetObject"] == 3 + 2 + 3


@pytest.mark.usefixtures("small_ranges")
def test_a_range_that_breaks_off_goes_on_where_it_stopped(
    stores: Stores, s3: FaultInjector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_DOWNLOADERS", 1)
    stores.objects.put("key", CONTENT)
    s3.plan("GetObject", break_body(600), None, break_body(300), truncate_body(100), None, break_body(900))
    with collect_usage() as usage:
        assert stores.objects.local_path("key").read_bytes() == CONTENT
    assert usage.calls["s3.GetObject"] == 5 + 4
    asked = [headers["range"].removeprefix("bytes=") for name, headers in s3.sent if name == "GetObject"]
    assert asked[:7] == ["0-999", "600-999", "1000-1999", "1300-1999", "1400-1999", "2000-2999", "2900-2999"]


@pytest.mark.usefixtures("small_ranges")
def test_a_range_that_breaks_off_after_its_last_byte_is_done(stores: Stores, s3: FaultInjector) -> None:
    stores.objects.put("key", CONTENT)
    s3.plan("GetObject", *[break_body(1_000)] * 5)
    assert stores.objects.local_path("key").read_bytes() == CONTENT
    assert s3.attempts["GetObject"] == 5


@pytest.mark.usefixtures("small_ranges")
@pytest.mark.parametrize("fault", [break_body(50), truncate_body(50), FAILED, unreachable, SLOW_DOWN])
def test_a_download_that_fails_leaves_nothing_to_be_seen(stores: Stores, s3: FaultInjector, fault: Fault) -> None:
    stores.objects.put("key", CONTENT)
    s3.plan("GetObject", None, None, *[fault] * 100)
    with pytest.raises(AfterglowError):
        stores.objects.local_path("key")
    cache = Path(stores.settings.cache_dir)
    assert [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size] == []
    s3.plan("GetObject")
    assert stores.objects.local_path("key").read_bytes() == CONTENT


@pytest.mark.usefixtures("small_ranges")
def test_an_object_replaced_or_deleted_midway_is_never_mixed(
    stores: Stores, s3: FaultInjector, clients: Clients, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_DOWNLOADERS", 1)
    stores.objects.put("key", CONTENT)
    writer = guarded_clients()
    replaced = run_first(lambda: writer.s3.put_object(Bucket=made.bucket, Key="key", Body=CONTENT[::-1]))
    s3.plan("GetObject", None, None, replaced)
    with pytest.raises(Unavailable, match="replaced while"):
        stores.objects.local_path("key")
    s3.plan("GetObject", None, None, run_first(lambda: writer.s3.delete_object(Bucket=made.bucket, Key="key")))
    with pytest.raises(ObjectNotFound):
        stores.objects.local_path("key")
    writer.forget_credentials()


def test_other_bytes_than_were_stored_are_noticed(stores: Stores, s3: FaultInjector) -> None:
    """S3 does not say the checksum of a range: whoever opens a segment's file compares its own."""
    stores.objects.put("key", CONTENT)
    s3.plan("GetObject", replace_body)
    path = stores.objects.local_path("key")
    assert path.stat().st_size == len(CONTENT)
    assert path.read_bytes() != CONTENT


@pytest.mark.usefixtures("small_ranges")
def test_sixteen_threads_that_want_a_file_download_it_once(stores: Stores, s3: FaultInjector) -> None:
    stores.objects.put("key", CONTENT)
    found = in_threads(16, lambda _: stores.objects.local_path("key").read_bytes())
    assert found == [CONTENT] * 16
    assert s3.attempts["GetObject"] == 5


def test_a_crash_midway_leaves_the_copy_out(stores: Stores, s3: FaultInjector) -> None:
    stores.objects.put("key", CONTENT)
    s3.plan("GetObject", crash_after_request)
    with pytest.raises(Crash):
        stores.objects.local_path("key")
    assert stores.objects.local_path("key").read_bytes() == CONTENT


@pytest.fixture
def large(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(transfer, "MULTIPART_FROM", 1_000)
    monkeypatch.setattr(transfer, "PART_BYTES", 5 * 1024 * 1024)
    path = stores.objects.temporary_path("large")
    path.write_bytes(CONTENT * 3_000)
    return path


def test_it_arrives_and_is_the_copy(stores: Stores, s3: FaultInjector, large: Path) -> None:
    s3.plan("UploadPart", FAILED, response_lost, SLOW_DOWN)
    stores.objects.upload("key", large)
    assert not large.exists()
    assert stores.objects.local_path("key").read_bytes() == CONTENT * 3_000
    assert s3.attempts["GetObject"] == 0
    assert stores.objects.get("key") == CONTENT * 3_000


def test_a_lost_answer_of_the_last_step_is_recognised(stores: Stores, s3: FaultInjector, large: Path) -> None:
    s3.plan("CompleteMultipartUpload", response_lost, error_response(404, "NoSuchUpload"))
    stores.objects.upload("key", large)
    assert stores.objects.get("key", 0, 10) == CONTENT[:10]


def test_a_failed_upload_is_aborted_and_the_file_stays(
    stores: Stores, s3: FaultInjector, clients: Clients, made: Made, large: Path
) -> None:
    s3.always("UploadPart", FAILED)
    with pytest.raises(Unavailable):
        stores.objects.upload("key", large)
    assert "Uploads" not in clients.s3.list_multipart_uploads(Bucket=made.bucket)
    assert [*stores.objects.list("")] == []
    s3.plan("UploadPart")
    stores.objects.upload("key", large)


def test_a_crash_before_the_last_step_shows_nothing(stores: Stores, s3: FaultInjector, large: Path) -> None:
    s3.plan("UploadPart", crash_after_request)
    with pytest.raises(Crash):
        stores.objects.upload("key", large)
    assert [*stores.objects.list("")] == []
