"""What the adapters over AWS note of each call: its name, its units, its bytes, once per attempt."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afterglow import metering
from afterglow.errors import Busy, Unavailable
from afterglow.metering import Usage
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.table import DynamoTable
from afterglow.storage.ports import Check, ConditionFailed, Delete, Put, Stores, Table, Write
from tests.support.aws import NAME, guarded_clients, make, moto_aws, stores_on_aws
from tests.support.fault_injection import (
    FaultInjector,
    error_response,
    response_lost,
    skip_botocore_pauses,
    unreachable,
)

KB = 1024


@pytest.fixture
def clients() -> Iterator[Clients]:
    with moto_aws():
        make()
        clients = guarded_clients()
        yield clients
        clients.forget_credentials()


@pytest.fixture
def table(clients: Clients) -> Table:
    return DynamoTable(clients, NAME)


@pytest.fixture
def stores(clients: Clients, tmp_path: Path) -> Stores:
    return stores_on_aws(make(), tmp_path, clients=clients)


def used(usage: Usage) -> tuple[dict[str, int], float, float]:
    return usage.calls, usage.read_units, usage.write_units


def test_a_put_is_one_call_of_a_unit_a_kilobyte(table: Table) -> None:
    with metering.collect_usage() as usage:
        table.put("p", "small", b"x", if_absent=True)
    assert used(usage) == ({"dynamodb.PutItem": 1}, 0, 1)
    with metering.collect_usage() as usage:
        table.put("p", "large", bytes(3 * KB), if_absent=True)
    assert used(usage) == ({"dynamodb.PutItem": 1}, 0, 4)
    with metering.collect_usage() as usage:
        table.put("p", "large", bytes(2 * KB), expires_at=7)
    assert used(usage) == ({"dynamodb.UpdateItem": 1}, 0, 4)


def test_a_kilobyte_counts_names_and_key(table: Table) -> None:
    room = KB - len("pk" + "p" + "sk" + "s" + "value" + "version") - 2
    with metering.collect_usage() as usage:
        table.put("p", "s", bytes(room), if_absent=True)
    assert usage.write_units == 1
    with metering.collect_usage() as usage:
        table.put("p", "t", bytes(room + 1), if_absent=True)
    assert usage.write_units == 2


def test_replacing_and_deleting_are_billed_by_the_larger_of_before_and_after(table: Table) -> None:
    table.put_many([Put("p", "read", bytes(5 * KB)), Put("p", "written", bytes(5 * KB))])
    with metering.collect_usage():
        table.query("p")
    with metering.collect_usage() as usage:
        table.put_many([Put("p", "read", b"stub"), Put("p", "fresh", b"stub")])
    assert used(usage) == ({"dynamodb.BatchWriteItem": 1}, 0, 6 + 1)
    with metering.collect_usage() as usage:
        table.put("p", "read", b"smaller still", if_version=1)
        table.delete("p", "written")
        table.delete("p", "written")
    assert used(usage) == ({"dynamodb.PutItem": 1, "dynamodb.DeleteItem": 2}, 0, 1 + 6 + 1)


def test_a_query_is_billed_by_the_page_and_reads_by_the_item(table: Table) -> None:
    table.put_many([Put("p", f"{number}", bytes(3 * KB)) for number in range(4)])
    with metering.collect_usage() as usage:
        assert len(table.query("p")) == 4
    assert used(usage) == ({"dynamodb.Query": 1}, 4, 0)
    with metering.collect_usage() as usage:
        assert table.query("nothing") == []
    assert used(usage) == ({"dynamodb.Query": 1}, 1, 0)
    with metering.collect_usage() as usage:
        table.get_many([("p", "0"), ("p", "1"), ("p", "none"), ("p", "0")])
        table.get("p", "none")
        table.get("p", "2")
    assert used(usage) == ({"dynamodb.BatchGetItem": 1, "dynamodb.GetItem": 2}, 3 + 1 + 1, 0)


def test_every_page_is_a_call(table: Table) -> None:
    table.put_many([Put("p", f"{number:02}", bytes(100 * KB)) for number in range(12)])
    with metering.collect_usage() as usage:
        assert len(table.query("p")) == 12
    assert usage.calls["dynamodb.Query"] == 2
    assert usage.read_units == pytest.approx(12 * 25.05, abs=2)


def test_a_transaction_counts_everything_twice(table: Table) -> None:
    table.put("p", "there", b"")
    writes: list[Write] = [
        Check("p", "there"),
        Put("p", "new", bytes(KB), if_absent=True),
        Put("p", "any", b""),
        Delete("p", "no"),
    ]
    with metering.collect_usage() as usage:
        table.transact(writes)
    assert used(usage) == ({"dynamodb.TransactWriteItems": 1}, 0, 2 * (1 + 2 + 1 + 1))


def test_a_failed_put_is_billed_by_the_existing_item(table: Table) -> None:
    table.put("p", "s", bytes(2 * KB))
    with metering.collect_usage() as usage, pytest.raises(ConditionFailed):
        table.put("p", "s", b"", if_absent=True)
    assert used(usage) == ({"dynamodb.PutItem": 1}, 0, 3)
    with metering.collect_usage() as usage, pytest.raises(ConditionFailed):
        table.put("p", "none", bytes(5 * KB), if_version=1)
    assert used(usage) == ({"dynamodb.PutItem": 1}, 0, 1)


def test_objects_and_messages_are_calls_and_bytes(stores: Stores) -> None:
    with metering.collect_usage() as usage:
        stores.objects.put("a/b", bytes(5_000))
        stores.objects.get("a/b", 10, 100)
        stores.objects.local_path("a/b")
        stores.objects.local_path("a/b")
        assert len([*stores.objects.list("a/")]) == 1
        stores.objects.delete("a/b")
        stores.queue.send("group", "body")
    assert usage.calls == {
        "s3.PutObject": 1, "s3.GetObject": 2, "s3.ListObjectsV2": 1, "s3.DeleteObject": 1, "sqs.SendMessage": 1,
    }  # fmt: skip
    assert (usage.bytes_written, usage.bytes_read) == (5_000, 5_100)


def test_the_ranges_of_a_download_and_the_parts_of_an_upload_are_calls(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterglow.storage.aws.transfer.RANGE_BYTES", 100_000)
    monkeypatch.setattr("afterglow.storage.aws.transfer.MULTIPART_FROM", 6_000_000)
    monkeypatch.setattr("afterglow.storage.aws.transfer.PART_BYTES", 5 * KB * KB)
    stores.objects.put("small", bytes(950_000))
    large = stores.objects.temporary_path("large")
    large.write_bytes(bytes(7_000_000))
    with metering.collect_usage() as usage:
        stores.objects.local_path("small")
        stores.objects.upload("large", large)
    assert usage.calls == {
        "s3.GetObject": 10, "s3.CreateMultipartUpload": 1, "s3.UploadPart": 2, "s3.CompleteMultipartUpload": 1,
    }  # fmt: skip
    assert (usage.bytes_written, usage.bytes_read) == (7_000_000, 950_000)


def test_every_attempt_is_recorded_with_the_units_that_are_known(
    clients: Clients, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_botocore_pauses(monkeypatch)
    sabotage = FaultInjector(clients.dynamodb)
    sabotage.plan("PutItem", error_response(500, "InternalServerError"), response_lost)
    with metering.collect_usage() as usage, pytest.raises(ConditionFailed):
        table.put("p", "s", bytes(3 * KB), if_absent=True)
    assert used(usage) == ({"dynamodb.PutItem": 3}, 0, 0 + 0 + 4)
    sabotage.plan("GetItem", *[error_response(400, "ThrottlingException")] * 3)
    with metering.collect_usage() as usage, pytest.raises(Busy):
        table.get("p", "s")
    assert used(usage) == ({"dynamodb.GetItem": 3}, 0, 0)
    sabotage.plan("GetItem", *[unreachable] * 3)
    with metering.collect_usage() as usage, pytest.raises(Unavailable):
        table.get("p", "s")
    assert used(usage) == ({}, 0, 0)


def test_the_units_are_those_that_dynamodb_reports(clients: Clients, table: Table) -> None:
    asked: list[dict[str, Any]] = []

    def report(parsed_response: dict[str, Any] | None, **_: object) -> None:
        assert parsed_response is not None
        single = {"TableName": NAME, "CapacityUnits": 2.5}
        parsed_response["ConsumedCapacity"] = single if "TableName" in asked[-1] else [single, single]

    clients.dynamodb.meta.events.register("before-parameter-build.dynamodb", lambda params, **_: asked.append(params))
    clients.dynamodb.meta.events.register_first("response-received.dynamodb", report)
    with metering.collect_usage() as usage:
        table.put("p", "s", bytes(3 * KB))
        table.put("p", "t", b"", if_absent=True)
        table.get("p", "s")
        table.query("p")
        table.delete("p", "s")
    assert (usage.read_units, usage.write_units) == (5, 7.5)
    with metering.collect_usage() as usage:
        table.put_many([Put("p", "u", b""), Put("p", "v", b"")])
        table.transact([Put("p", "w", b"")])
        table.get_many([("p", "u"), ("p", "v")])
    assert (usage.read_units, usage.write_units) == (5, 10)
    assert {params.get("ReturnConsumedCapacity") for params in asked} == {"TOTAL"}


def test_a_report_is_asked_for_only_where_something_collects(clients: Clients, table: Table) -> None:
    asked: list[dict[str, Any]] = []
    clients.dynamodb.meta.events.register("before-parameter-build.dynamodb", lambda params, **_: asked.append(params))
    table.get("p", "s")
    with metering.collect_usage():
        clients.dynamodb.list_tables()
    assert not any("ReturnConsumedCapacity" in params for params in asked)


def test_a_cancelled_transaction_counts_in_full(table: Table) -> None:
    table.put("p", "there", b"")
    with metering.collect_usage() as usage, pytest.raises(ConditionFailed):
        table.transact([Put("p", "there", bytes(2 * KB), if_absent=True), Check("p", "new"), Put("p", "any", b"")])
    assert used(usage) == ({"dynamodb.TransactWriteItems": 1}, 0, 2 * (3 + 1 + 1))


def test_nothing_is_noted_where_nothing_collects(table: Table) -> None:
    table.put("p", "s", b"")
    with metering.collect_usage() as usage:
        pass
    assert used(usage) == ({}, 0, 0)
