"""What moto cannot show: tokens that DynamoDB remembers, and large objects over real connections."""

from pathlib import Path

import numpy as np
import pytest

from afterglow.errors import Unavailable
from afterglow.metering import collect_usage
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.table import DynamoTable
from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put, Stores, Write
from tests.contract.racing import in_threads
from tests.support.aws import Made, guarded_clients, make, stores_on_aws
from tests.support.fault_injection import FaultInjector, break_body, response_lost
from tests.support.ministack import MiniStack, fresh_account

pytestmark = pytest.mark.stack


@pytest.fixture
def made(emulator: MiniStack, monkeypatch: pytest.MonkeyPatch) -> Made:
    for name, value in emulator.environment(fresh_account()).items():
        monkeypatch.setenv(name, value)
    return make()


@pytest.mark.parametrize("losses", [1, 2])
def test_a_transaction_whose_answer_was_lost_is_done_once(stores: Stores, dynamodb: FaultInjector, losses: int) -> None:
    stores.table.put("p", "counted", b"")
    stores.table.put("p", "gone", b"")
    stores.table.put("p", "checked", b"")
    dynamodb.plan("TransactWriteItems", *[response_lost] * losses)
    writes: list[Write] = [
        Put("p", "new", b"x", if_absent=True),
        Put("p", "counted", b"y"),
        Delete("p", "gone", if_version=1),
        Check("p", "checked"),
    ]
    stores.table.transact(writes)
    assert dynamodb.attempts["TransactWriteItems"] == 1 + losses
    assert stores.table.query("p") == [
        Item("p", "checked", b"", 1), Item("p", "counted", b"y", 2), Item("p", "new", b"x", 1),
    ]  # fmt: skip
    with pytest.raises(ConditionFailed) as caught:
        stores.table.transact(writes)
    assert caught.value.existing == Item("p", "new", b"x", 1)


def test_a_transaction_that_lost_every_response_is_unavailable_and_done(
    stores: Stores, dynamodb: FaultInjector
) -> None:
    dynamodb.plan("TransactWriteItems", response_lost, response_lost, response_lost)
    with pytest.raises(Unavailable):
        stores.table.transact([Put("p", "s", b"", if_absent=True)])
    assert stores.table.query("p") == [Item("p", "s", b"", 1)]


def test_a_message_whose_answer_was_lost_arrives_once(stores: Stores, clients: Clients) -> None:
    FaultInjector(clients.sqs).plan("SendMessage", response_lost)
    stores.queue.send("group", "body")
    answer = clients.sqs.receive_message(QueueUrl=stores.settings.queue, MaxNumberOfMessages=10)
    assert len(answer["Messages"]) == 1


def test_conflicting_transactions_all_succeed(made: Made) -> None:
    """Each of eight threads moves a counter on and leaves a mark, by compare and set."""
    clients = guarded_clients()
    table = DynamoTable(clients, made.table)
    table.put("p", "counter", b"")

    def work(number: int) -> int:
        tries = 0
        for turn in range(10):
            while True:
                tries += 1
                present = table.get("p", "counter")
                assert present is not None
                move = Put("p", "counter", b"", if_version=present.version)
                try:
                    table.transact([move, Put("p", f"mark {number} {turn}", b"", if_absent=True)])
                except ConditionFailed:
                    continue
                break
        return tries

    in_threads(8, work)
    found = table.query("p")
    assert (found[0].version, len(found)) == (81, 81)
    clients.forget_credentials()


def test_a_large_file_goes_up_in_parts_and_comes_down_in_ranges(
    stores: Stores, s3: FaultInjector, made: Made, tmp_path: Path
) -> None:
    content = np.random.default_rng(1).bytes(70_000_000)
    path = stores.objects.temporary_path("large")
    path.write_bytes(content)
    s3.plan("UploadPart", None, response_lost)
    with collect_usage() as usage:
        stores.objects.upload("large", path)
    assert usage.calls["s3.UploadPart"] == 5 + 1
    other_clients = guarded_clients()
    FaultInjector(other_clients.s3).plan("GetObject", None, break_body(5_000_000), None, break_body(1))
    other = stores_on_aws(made, tmp_path / "other", clients=other_clients)
    assert other.objects.local_path("large").read_bytes() == content
    other_clients.forget_credentials()
    with collect_usage() as usage:
        assert stores.objects.get("large", 69_999_990, 100) == content[-10:]
    assert usage.calls == {"s3.GetObject": 1}
