"""The capacity that DynamoDB would report, for emulators that report none or a wrong one.

An account's items are known from the requests of all its clients, so that a write is billed by the larger of the sizes
before and after, as the service does. The rules for writes are in `storage.aws.billing`; for reads, from the same pages
of the developer guide: a read request unit is 4 KB, strongly consistent. A Query is billed by the total size of the
items it read, rounded up per page; GetItem and BatchGetItem are rounded up per item. A missing item and an empty page
cost 1.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from afterglow.storage.aws import billing
from afterglow.storage.aws.expressions import PK, SK

_PARAMETERS = "tests-parameters"
READ_UNIT = 4096
Attributes = Mapping[str, Any]


class ConsumedCapacity:
    """The items of one account by size, and the report for each request to it."""

    def __init__(self) -> None:
        self._sizes: dict[tuple[str, str, str], int] = {}
        self._lock = threading.RLock()

    def attach(self, client: Any) -> None:
        """Fill in the report of each response of a DynamoDB client, before other hooks see it."""
        client.meta.events.register_first("before-parameter-build.dynamodb", self._keep)
        client.meta.events.register_first("response-received.dynamodb", self._fill)

    def _keep(self, params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context[_PARAMETERS] = params

    def _fill(
        self, event_name: str, parsed_response: dict[str, Any] | None, context: dict[str, Any], **_: object
    ) -> None:
        if parsed_response is None:
            return
        operation, params = event_name.rpartition(".")[2], context[_PARAMETERS]
        if parsed_response["ResponseMetadata"]["HTTPStatusCode"] >= 300:
            return
        with self._lock:
            units = self.units(operation, params, parsed_response)
        parsed_response.pop("ConsumedCapacity", None)
        if units is not None and "ReturnConsumedCapacity" in params:
            single = {"CapacityUnits": float(units)}
            several = operation in ("BatchGetItem", "BatchWriteItem", "TransactWriteItems")
            parsed_response["ConsumedCapacity"] = [single] if several else single

    def units(self, operation: str, params: Attributes, body: Attributes) -> int | None:
        """The units of a request that succeeded; None for requests without any."""
        match operation:
            case "GetItem":
                return read_units(_size(body.get("Item")))
            case "BatchGetItem":
                return self._batch_get(params, body)
            case "Query":
                return page_units(map(_size, body.get("Items", [])))
            case "PutItem" | "UpdateItem" | "DeleteItem":
                return self._write(operation.removesuffix("Item"), params)
            case "BatchWriteItem":
                return sum(self._batch_write(params, body))
            case "TransactWriteItems":
                actions = (next(iter(action.items())) for action in params["TransactItems"])
                return billing.TRANSACTION_FACTOR * sum(self._write(kind, write) for kind, write in actions)
            case _:
                return None

    def _batch_get(self, params: Attributes, body: Attributes) -> int:
        total = 0
        for table, request in params["RequestItems"].items():
            sizes = list(map(_size, body.get("Responses", {}).get(table, [])))
            unprocessed = len(body.get("UnprocessedKeys", {}).get(table, {}).get("Keys", []))
            total += sum(map(read_units, sizes)) + len(request["Keys"]) - unprocessed - len(sizes)
        return total

    def _batch_write(self, params: Attributes, body: Attributes) -> Iterator[int]:
        for table, requests in params["RequestItems"].items():
            unprocessed = body.get("UnprocessedItems", {}).get(table, [])
            not_written = {_key(request["PutRequest"]["Item"]) for request in unprocessed}
            for request in requests:
                item = request["PutRequest"]["Item"]
                if _key(item) not in not_written:
                    yield self._write("Put", {"TableName": table, "Item": item})

    def _write(self, kind: str, write: Attributes) -> int:
        place = (write["TableName"], *_key(write.get("Item") or write["Key"]))
        before = self._sizes.get(place, 0)
        if kind == "ConditionCheck":
            return billing.write_units(before)
        after = self._sizes[place] = billing.written_size(kind, write)
        return billing.write_units(before, after)


def read_units(size: int) -> int:
    """The units for reading `size` bytes in one rounding."""
    return max(1, -(-size // READ_UNIT))


def page_units(sizes: Iterable[int]) -> int:
    """The units of one page of a Query."""
    return read_units(sum(sizes))


def _size(item: Attributes | None) -> int:
    return billing.item_size(item) if item else 0


def _key(item: Attributes) -> tuple[str, str]:
    return item[PK]["S"], item[SK]["S"]
