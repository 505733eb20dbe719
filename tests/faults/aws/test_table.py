"""The table when DynamoDB fails: what passes after a retry, what does not and how it is told, what is recognised."""

from uuid import UUID

import pytest

from afterglow.errors import Busy, InvalidArgument, TooLarge, Unavailable
from afterglow.log import append
from afterglow.log.batch import Batch, Op
from afterglow.storage.aws.clients import Clients
from afterglow.storage.ports import ConditionFailed, Item, Put, Stores
from tests.support.fault_injection import (
    Fault,
    FaultInjector,
    cancel_transaction,
    error_response,
    leave_unprocessed,
    response_lost,
    unreachable,
)

THROTTLED = error_response(400, "ThrottlingException")
FAILED = error_response(500, "InternalServerError")
COLLECTION = UUID(int=7)


@pytest.mark.parametrize("faults", [[THROTTLED, THROTTLED], [FAILED, FAILED], [unreachable, FAILED]])
def test_transient_faults_are_not_noticed(stores: Stores, dynamodb: FaultInjector, faults: list[Fault]) -> None:
    dynamodb.plan("PutItem", *faults)
    dynamodb.plan("Query", *faults)
    assert stores.table.put("p", "s", b"value", if_absent=True) == 1
    assert stores.table.query("p") == [Item("p", "s", b"value", 1)]
    assert dynamodb.attempts == {"PutItem": 3, "Query": 3}


def test_throttling_that_does_not_pass_is_busy_and_says_when(
    stores: Stores, dynamodb: FaultInjector, pauses: list[float]
) -> None:
    dynamodb.always("GetItem", THROTTLED)
    with pytest.raises(Busy, match="is throttling requests") as caught:
        stores.table.get("p", "s")
    assert caught.value.retry_after >= 1
    assert dynamodb.attempts["GetItem"] == 3
    assert sum(pauses) <= 3


@pytest.mark.parametrize("fault", [FAILED, response_lost, unreachable])
def test_failing_that_does_not_pass_is_unavailable(
    stores: Stores, dynamodb: FaultInjector, fault: Fault, pauses: list[float]
) -> None:
    dynamodb.always("GetItem", fault)
    with pytest.raises(Unavailable, match="table afterglow") as caught:
        stores.table.get("p", "s")
    assert caught.value.retry_after > 0
    assert dynamodb.attempts["GetItem"] == 3
    assert sum(pauses) <= 1


def test_a_put_whose_answer_was_lost_fails_on_its_own_item(stores: Stores, dynamodb: FaultInjector) -> None:
    dynamodb.plan("PutItem", response_lost)
    with pytest.raises(ConditionFailed) as caught:
        stores.table.put("p", "s", b"nonce", if_absent=True)
    assert caught.value.existing == Item("p", "s", b"nonce", 1)


def test_a_put_by_version_whose_answer_was_lost_fails_on_its_own_item(stores: Stores, dynamodb: FaultInjector) -> None:
    stores.table.put("p", "s", b"first")
    dynamodb.plan("PutItem", response_lost)
    with pytest.raises(ConditionFailed) as caught:
        stores.table.put("p", "s", b"second", if_version=1)
    assert caught.value.existing == Item("p", "s", b"second", 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "faults",
    [[response_lost], [response_lost, response_lost], [FAILED, response_lost], [THROTTLED, response_lost, FAILED]],
)
def test_the_log_knows_its_entry_again(stores: Stores, dynamodb: FaultInjector, faults: list[Fault]) -> None:
    entry = append.prepare(stores, COLLECTION, [Batch(Op.ADD, ["a"])]).entry
    dynamodb.plan("PutItem", *faults)
    assert append.append_at(stores, COLLECTION, entry, 1, None)
    other = append.prepare(stores, COLLECTION, [Batch(Op.ADD, ["b"])]).entry
    assert not append.append_at(stores, COLLECTION, other, 1, None)


def test_the_log_knows_its_entry_again_after_every_attempt_was_lost(stores: Stores, dynamodb: FaultInjector) -> None:
    entry = append.prepare(stores, COLLECTION, [Batch(Op.ADD, ["a"])]).entry
    dynamodb.plan("PutItem", response_lost, response_lost, response_lost)
    assert append.append_at(stores, COLLECTION, entry, 1, None)
    assert dynamodb.attempts["PutItem"] == 4


def test_a_transaction_is_repeated_with_the_token_it_began_with(stores: Stores, clients: Clients) -> None:
    tokens: list[str] = []
    clients.dynamodb.meta.events.register(
        "before-parameter-build.dynamodb.TransactWriteItems",
        lambda params, **_: tokens.append(params["ClientRequestToken"]),
    )
    conflict = error_response(400, "TransactionInProgressException")
    FaultInjector(clients.dynamodb).plan("TransactWriteItems", *[conflict] * 7)
    stores.table.transact([Put("p", "s", b"", if_absent=True)])
    assert len(tokens) == 3
    assert len(set(tokens)) == 1


def test_a_transaction_that_others_hold_up_is_tried_for_a_while(
    stores: Stores, clients: Clients, dynamodb: FaultInjector
) -> None:
    held = cancel_transaction("None", "TransactionConflict")
    writes = [Put("p", "s", b"", if_absent=True), Put("p", "t", b"")]
    dynamodb.plan("TransactWriteItems", held, held, held)
    stores.table.transact(writes)
    dynamodb.always("TransactWriteItems", held)
    with pytest.raises(Unavailable, match="other transactions"):
        stores.table.transact(writes)
    dynamodb.always("TransactWriteItems", cancel_transaction("None", "ThrottlingError"))
    with pytest.raises(Busy):
        stores.table.transact(writes)


def test_a_put_that_meets_a_transaction_is_tried_again(stores: Stores, dynamodb: FaultInjector) -> None:
    dynamodb.plan("PutItem", *[error_response(400, "TransactionConflictException")] * 3)
    assert stores.table.put("p", "s", b"", if_absent=True) == 1


def test_unprocessed_items_of_a_batch_are_requested_again(stores: Stores, dynamodb: FaultInjector) -> None:
    puts = [Put("p", f"{number:02}", b"x") for number in range(40)]
    dynamodb.plan("BatchWriteItem", leave_unprocessed(10), None, leave_unprocessed(3))
    stores.table.put_many(puts)
    assert dynamodb.attempts["BatchWriteItem"] == 4
    assert len(stores.table.query("p")) == 40
    dynamodb.plan("BatchGetItem", leave_unprocessed(5), leave_unprocessed(2))
    found = stores.table.get_many([("p", f"{number:02}") for number in range(40)])
    assert [item and item.sk for item in found] == [f"{number:02}" for number in range(40)]
    assert dynamodb.attempts["BatchGetItem"] == 3


def test_a_batch_that_is_never_done_is_busy(stores: Stores, dynamodb: FaultInjector) -> None:
    dynamodb.always("BatchWriteItem", leave_unprocessed(1))
    with pytest.raises(Busy):
        stores.table.put_many([Put("p", "s", b"")])


def test_an_item_over_the_limit_is_too_large_before_anything_is_sent(stores: Stores, dynamodb: FaultInjector) -> None:
    stores.table.put("p", "s", bytes(400_000), if_absent=True)
    for write in (
        lambda: stores.table.put("p", "s", bytes(400 * 1024)),
        lambda: stores.table.put("p", "s", bytes(400 * 1024), if_version=1),
        lambda: stores.table.put_many([Put("p", "s", bytes(400 * 1024))]),
        lambda: stores.table.transact([Put("p", "s", bytes(400 * 1024))]),
    ):
        with pytest.raises(TooLarge, match="409600"):
            write()
    with pytest.raises(InvalidArgument, match="2048"):
        stores.table.get("p" * 2049, "s")
    with pytest.raises(InvalidArgument, match="1024"):
        stores.table.put("p", "é" * 513, b"")
    assert dynamodb.attempts == {"PutItem": 1}
