"""The calls that AWS bills for each call of ours. A change here is a change of every user's bill."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from afterglow.collection.types import Selection
from afterglow.collection.write.transaction import Transaction
from afterglow.errors import WriteConflict
from afterglow.metering import collect_usage
from afterglow.prices import stores_dollars
from tests.costs.operations import BULK, INDEXED, Account, Measured, measure, records
from tests.costs.operations import measured as measure_call
from tests.support import aws

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    with aws.moto_aws():
        return measure(tmp_path_factory.mktemp("containers"))


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with aws.moto_aws():
        yield Account(tmp_path)


@pytest.mark.parametrize(
    "call", ["query, warm", "request with two searches, warm", "get of 2 records, warm", "count, warm"]
)
def test_a_warm_read_is_one_query_of_the_table_and_nothing_else(measured: dict[str, Measured], call: str) -> None:
    usage = measured[call].usage
    assert usage.calls == {"dynamodb.Query": 1}
    assert (usage.read_units, usage.write_units, usage.bytes_read) == (1, 0, 0)


def test_a_small_write_is_one_conditional_put(measured: dict[str, Measured]) -> None:
    usage = measured["write of 1 record"].usage
    assert usage.calls == {"dynamodb.PutItem": 1}
    assert (usage.read_units, usage.write_units) == (0, 3)  # 1,536 bytes of vector, 400 of document, the rest


def test_a_small_write_sends_at_most_one_message(account: Account) -> None:
    """Of writes of one record every so many-th does, and none sends two."""
    account.add(1)
    sends = [account.add(1).usage.calls.get("sqs.SendMessage", 0) for _ in range(130)]
    assert set(sends) == {0, 1}
    assert sum(sends) == 2


def test_a_transaction_costs_a_read_and_a_write(account: Account) -> None:
    account.add(1)
    engine, scope = account.engine, account.scope
    engine.count(scope)
    transaction = Transaction([records(7, 1), records(8, 1)], 1, ["record-000007", "record-000008"])
    both = Selection(transaction.read_ids)
    read = measure_call(lambda: engine.get_in_transaction(scope, both, None, 0, frozenset(), position=None))
    committed = measure_call(lambda: engine.commit(scope, transaction))
    assert (read.usage.calls, committed.usage.calls) == ({"dynamodb.Query": 1}, {"dynamodb.PutItem": 1})


def test_a_transaction_behind_another_container_reads_its_entries_once(account: Account) -> None:
    account.add(1)
    account.container().write(account.scope, records(5, 1))
    with collect_usage() as refused, pytest.raises(WriteConflict):
        account.engine.commit(account.scope, Transaction([records(6, 1)], 1, ["record-000005"]))
    # The put that fails on the other's entry, what was written since, and its ids.
    assert refused.calls == {"dynamodb.PutItem": 1, "dynamodb.Query": 2}
    committed = measure_call(
        lambda: account.engine.commit(account.scope, Transaction([records(6, 1)], 1, ["record-000006"]))
    )
    assert committed.usage.calls == {"dynamodb.PutItem": 1, "dynamodb.Query": 1}


def test_a_bulk_add_is_one_object_and_one_conditional_put(measured: dict[str, Measured]) -> None:
    usage = measured[f"write of {BULK} records"].usage
    assert usage.calls == {"s3.PutObject": 1, "dynamodb.PutItem": 1}
    assert (usage.read_units, usage.write_units) == (0, 1)
    assert usage.bytes_written > BULK * 4 * 384


def test_a_delete_by_ids_is_one_conditional_put(measured: dict[str, Measured]) -> None:
    usage = measured["delete of 1 record"].usage
    assert usage.calls == {"dynamodb.PutItem": 1}
    assert usage.write_units == 1


def test_a_cold_query_lists_no_bucket_and_reads_every_range_once(measured: dict[str, Measured]) -> None:
    usage = measured["cold query, all indexed"].usage
    assert set(usage.calls) == {"dynamodb.GetItem", "dynamodb.Query", "s3.GetObject"}
    assert (usage.calls["dynamodb.GetItem"], usage.calls["dynamodb.Query"]) == (1, 1)
    # The manifest, and the four files of one segment, none over the 8 MB of a range.
    assert usage.calls["s3.GetObject"] == 5
    assert usage.bytes_read < 3 * INDEXED * 4 * 384


def test_a_cold_query_of_an_unflushed_log_reads_every_batch_once(measured: dict[str, Measured]) -> None:
    usage = measured["cold query, nothing indexed"].usage
    assert usage.calls == {"dynamodb.GetItem": 1, "dynamodb.Query": 1, "s3.GetObject": 16}


def test_a_first_write_also_claims_the_dimension(measured: dict[str, Measured]) -> None:
    usage = measured["first write of a collection"].usage
    assert usage.calls == {"dynamodb.GetItem": 2, "dynamodb.Query": 1, "dynamodb.PutItem": 2}


def test_a_newer_checkpoint_is_picked_up_by_its_new_files_alone(account: Account) -> None:
    """What is merged is new; what stays as it is in the new checkpoint is not downloaded again."""
    while account.first < 5_000:
        account.add(BULK)
    account.index()
    reader = account.container()
    whole = account.query(reader).usage
    account.add(20)
    account.index()
    usage = account.query(reader).usage
    assert usage.bytes_read < 0.05 * whole.bytes_read
    assert usage.calls.get("s3.ListObjectsV2", 0) == 0
    assert account.query(reader).usage.calls == {"dynamodb.Query": 1}


def test_the_cost_of_a_call_is_the_sum_of_its_units(measured: dict[str, Measured]) -> None:
    assert stores_dollars(measured["query, warm"].usage) == pytest.approx(0.125e-6)
    assert stores_dollars(measured["write of 1 record"].usage) == pytest.approx(3 * 0.625e-6)
    assert stores_dollars(measured[f"write of {BULK} records"].usage) == pytest.approx(5.0e-6 + 0.625e-6)


def test_a_fork_is_one_transaction_and_no_object(measured: dict[str, Measured]) -> None:
    usage = measured[f"fork of {INDEXED} records"].usage
    assert usage.calls == {"dynamodb.GetItem": 3, "dynamodb.Query": 1, "dynamodb.TransactWriteItems": 1}
    assert usage.bytes_written == 0


def test_a_warm_query_of_the_past_is_one_get_of_the_state(measured: dict[str, Measured]) -> None:
    usage = measured["point-in-time query, warm"].usage
    assert usage.calls == {"dynamodb.GetItem": 1}
    assert (usage.read_units, usage.bytes_read) == (1, 0)


def test_the_first_query_of_a_point_in_time_lists_the_checkpoints(measured: dict[str, Measured]) -> None:
    """The manifests and the archives are listed; then the archive is read, and the batches that it names."""
    usage = measured["point-in-time query, cold"].usage
    assert set(usage.calls) == {"dynamodb.GetItem", "dynamodb.Query", "s3.ListObjectsV2", "s3.GetObject"}
    assert (usage.calls["s3.ListObjectsV2"], usage.calls["s3.GetObject"]) == (2, 2)
