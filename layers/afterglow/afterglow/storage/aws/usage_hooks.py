"""Records each attempt that reached an AWS service in `metering.current_usage()`, with its billed units.

Two hooks of botocore: one stores a request's parameters in the request's context; the other runs after each attempt
(botocore repeats some) and evaluates the response or its absence. Without an active collector they do nothing.

The units are computed by the rules in `storage.aws.billing`; they are exact except for these cases:

* A put, an update or a delete is billed by the larger of the sizes before and after, and DynamoDB does not return the
  size before. `ItemSizes` caches the sizes of items over 1 KB that this process recently read or wrote; for other
  items only the size after counts.
* An attempt without a connection is not recorded. One whose response was lost counts as applied; one that got 5xx or
  was throttled counts as a request without units. A cancelled transaction counts in full.
* The version of an update is counted as a number of one digit; it may have more.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import HTTPClientError

from afterglow.metering import Usage, current_usage
from afterglow.storage.aws import billing
from afterglow.storage.aws.expressions import PK, SK

_PARAMETERS = "afterglow-parameters"
_CACHED_SIZES = 8_192
_CONDITION_FAILED, _CANCELLED = "ConditionalCheckFailedException", "TransactionCanceledException"
Attributes = Mapping[str, Any]


class ItemSizes:
    """LRU cache of item sizes over one write unit."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, table: str, key: Attributes) -> int:
        """Return the cached size of the item with this key, 0 if it is unknown."""
        with self._lock:
            return self._sizes.get((table, key[PK]["S"], key[SK]["S"]), 0)

    def put(self, table: str, key: Attributes, size: int) -> None:
        """Cache an item's size; 0: the item was deleted."""
        item_key = (table, key[PK]["S"], key[SK]["S"])
        with self._lock:
            self._sizes.pop(item_key, None)
            if size > billing.WRITE_UNIT:
                self._sizes[item_key] = size
                if len(self._sizes) > _CACHED_SIZES:
                    self._sizes.popitem(last=False)


def attach(client: Any) -> None:
    """Record every attempt of this client."""
    service, sizes = client.meta.service_model.service_id.hyphenize(), ItemSizes()

    def store_parameters(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        if current_usage() is not None:
            context[_PARAMETERS] = params

    def record(
        event_name: str, parsed_response: Attributes | None, context: dict[str, Any], exception: object, **_: object
    ) -> None:
        usage, params = current_usage(), context.get(_PARAMETERS)
        if usage is None or params is None or not (exception is None or isinstance(exception, HTTPClientError)):
            return
        operation = event_name.rpartition(".")[2]
        outcome = _Outcome(parsed_response)
        if service == "dynamodb":
            _record_table_request(usage, operation, params, outcome, sizes)
        else:
            _record_bytes(usage, f"{service}.{operation}", params, outcome)

    client.meta.events.register(f"before-parameter-build.{service}", store_parameters)
    client.meta.events.register(f"response-received.{service}", record)


class _Outcome:
    """The outcome of one attempt; the body is empty when the response was lost."""

    def __init__(self, parsed: Attributes | None) -> None:
        self.body: Attributes = parsed or {}
        status = self.body.get("ResponseMetadata", {}).get("HTTPStatusCode", 200)
        self.code = str(self.body.get("Error", {}).get("Code", "")) if status >= 300 else ""

    @property
    def may_be_applied(self) -> bool:
        """Whether the request was, or may have been, applied."""
        return not self.code

    @property
    def condition_failed(self) -> bool:
        """Whether a condition of the request failed."""
        return self.code in (_CONDITION_FAILED, _CANCELLED)


def _record_bytes(usage: Usage, name: str, params: Attributes, outcome: _Outcome) -> None:
    read = outcome.body.get("ContentLength", 0) if outcome.may_be_applied and name == "s3.GetObject" else 0
    usage.call(name, read=read, written=_length(params.get("Body")) if outcome.may_be_applied else 0)


def _length(body: Any) -> int:
    if body is None:
        return 0
    if hasattr(body, "__len__"):
        return len(body)
    position = body.tell()
    size: int = body.seek(0, os.SEEK_END)
    body.seek(position)
    return size


def _record_table_request(
    usage: Usage, operation: str, params: Attributes, outcome: _Outcome, sizes: ItemSizes
) -> None:
    name = f"dynamodb.{operation}"
    if not outcome.may_be_applied and not outcome.condition_failed:
        usage.call(name)
    elif operation in ("GetItem", "BatchGetItem", "Query"):
        usage.call(name, read_units=_READ_UNITS[operation](params, outcome.body, sizes))
    else:
        usage.call(name, write_units=sum(_write_units(operation, params, outcome, sizes)))


def _get_units(params: Attributes, body: Attributes, sizes: ItemSizes) -> int:
    return billing.read_units(_observe_size(params["TableName"], body.get("Item"), sizes))


def _batch_get_units(params: Attributes, body: Attributes, sizes: ItemSizes) -> int:
    total = 0
    for table, request in params["RequestItems"].items():
        item_sizes = [_observe_size(table, item, sizes) for item in body.get("Responses", {}).get(table, [])]
        unprocessed = len(body.get("UnprocessedKeys", {}).get(table, {}).get("Keys", []))
        total += sum(map(billing.read_units, item_sizes)) + len(request["Keys"]) - unprocessed - len(item_sizes)
    return total


def _query_units(params: Attributes, body: Attributes, sizes: ItemSizes) -> int:
    return billing.page_units(_observe_size(params["TableName"], item, sizes) for item in body.get("Items", []))


_READ_UNITS = {"GetItem": _get_units, "BatchGetItem": _batch_get_units, "Query": _query_units}


def _observe_size(table: str, item: Attributes | None, sizes: ItemSizes) -> int:
    if not item:
        return 0
    size = billing.item_size(item)
    sizes.put(table, item, size)
    return size


def _write_units(operation: str, params: Attributes, outcome: _Outcome, sizes: ItemSizes) -> Iterator[int]:
    """Yield the units of each item that a request wrote or, after a failed condition, did not write."""
    match operation:
        case "TransactWriteItems":
            for action in params["TransactItems"]:
                ((kind, write),) = action.items()
                yield billing.TRANSACTION_FACTOR * _write(kind, write, outcome, sizes)
        case "BatchWriteItem":
            unprocessed = outcome.body.get("UnprocessedItems", {})
            for table, requests in params["RequestItems"].items():
                not_written = {_key(request["PutRequest"]["Item"]) for request in unprocessed.get(table, [])}
                for request in requests:
                    item = request["PutRequest"]["Item"]
                    if _key(item) not in not_written:
                        yield _write("Put", {"TableName": table, "Item": item}, outcome, sizes)
        case _:
            yield _write(operation.removesuffix("Item"), params, outcome, sizes)


def _write(kind: str, write: Attributes, outcome: _Outcome, sizes: ItemSizes) -> int:
    """Return the units of one write, outside a transaction."""
    table, key = write["TableName"], write.get("Item") or write["Key"]
    if outcome.code == _CONDITION_FAILED:
        return billing.write_units(_observe_size(table, outcome.body.get("Item"), sizes))
    before, after = sizes.get(table, key), _size_after(kind, write)
    if outcome.may_be_applied and kind != "ConditionCheck":
        sizes.put(table, key, after)
    return billing.write_units(before, after)


def _size_after(kind: str, write: Attributes) -> int:
    match kind:
        case "Put":
            return billing.item_size(write["Item"])
        case "Update":
            names, values = write["ExpressionAttributeNames"], write["ExpressionAttributeValues"]
            name_bytes = sum(len(name) for placeholder, name in names.items() if _is_set(placeholder, values))
            return billing.item_size(write["Key"]) + name_bytes + sum(map(billing.value_size, values.values()))
        case _:
            return 0


def _is_set(placeholder: str, values: Attributes) -> bool:
    """Whether the item has this attribute after the update: `#expires_at` without a value is removed."""
    return placeholder != "#expires_at" or ":expires_at" in values


def _key(item: Attributes) -> tuple[str, str]:
    return item[PK]["S"], item[SK]["S"]
