"""The tests' figures for write units beside ConsumedCapacity as MiniStack works it out (its reads are wrong)."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from afterglow import metering
from afterglow.storage.aws.table import DynamoTable
from afterglow.storage.ports import Check, Delete, Put, Table
from tests.support.aws import guarded_clients, make
from tests.support.consumed_capacity import ConsumedCapacity
from tests.support.ministack import MiniStack, fresh_account

pytestmark = pytest.mark.stack


class Bill:
    """What the service charged for the calls of a table, and what it should charge by the rules."""

    def __init__(self, client: Any) -> None:
        self.charged = self.computed = 0.0
        self._capacity = ConsumedCapacity()
        client.meta.events.register("response-received.dynamodb", self._add)
        client.meta.events.register("before-parameter-build.dynamodb", self._keep)

    def _keep(self, params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context["params"] = params

    def _add(self, event_name: str, parsed_response: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        said = parsed_response["ConsumedCapacity"]
        self.charged += sum(item["CapacityUnits"] for item in (said if isinstance(said, list) else [said]))
        operation = event_name.rpartition(".")[2]
        self.computed += self._capacity.units(operation, context["params"], parsed_response) or 0


@pytest.fixture
def billed(emulator: MiniStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Table, Bill]]:
    for name, value in emulator.environment(fresh_account()).items():
        monkeypatch.setenv(name, value)
    clients = guarded_clients()
    yield DynamoTable(clients, make().table), Bill(clients.dynamodb)
    clients.forget_credentials()


def test_recorded_write_units_are_those_charged(billed: tuple[Table, Bill]) -> None:
    table, bill = billed
    steps: list[Callable[[], object]] = [
        *(lambda size=size: table.put("p", f"{size}", bytes(size), if_absent=True) for size in range(990, 1_010)),
        lambda: table.put("p", "shrinks", bytes(3_000), if_absent=True),
        lambda: table.put("p", "shrinks", b"", expires_at=1_763_720_000),
        lambda: table.put("p", "shrinks", bytes(1_024)),
        lambda: table.put("p", "shrinks", b"", if_version=3),
        lambda: table.put_many([Put("p", f"many {number}", bytes(number * 700)) for number in range(30)]),
        lambda: table.put_many([Put("p", f"many {number}", b"") for number in range(30)]),
        lambda: table.put("p", "gone", bytes(5_000)),
        lambda: table.delete("p", "gone"),
        lambda: table.delete("p", "gone"),
        lambda: table.put("p", "doomed", bytes(2_500)),
        lambda: table.transact(
            [
                Put("p", "new", bytes(2_000), if_absent=True),
                Put("p", "any", b""),
                Check("p", "shrinks"),
                Delete("p", "doomed"),
            ]
        ),
    ]
    for number, step in enumerate(steps):
        bill.charged = bill.computed = 0.0
        with metering.collect_usage() as usage:
            step()
        assert usage.write_units == bill.charged == bill.computed, f"step {number}"
