"""Noting each attempt that reached a service in `metering.current()`, with the units it is billed by.

Two hooks of botocore: before a call its parameters are kept in the call's context, and after each attempt — botocore
repeats some — the answer, or the lack of one, is looked at. Nothing is done where nothing is collecting.

The figures are those of `storage.aws.billing`, exact but for these:

* A put, an update or a delete is billed by the larger of the item before and after, and DynamoDB does not say how large
  the one before was. `Sizes` remembers items over 1 KB that this process read or wrote last; of an item that it does
  not know, only the size after counts.
* An attempt that found no connection is not noted. One whose answer was lost counts as if it had been carried out; one
  that was answered by 5xx or by throttling counts as a request without units. A cancelled transaction counts in full.
* An update's version, counted as a number of one digit, may have more.
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

_KEPT = "afterglow-parameters"
_REMEMBERED = 8_192
_REFUSED, _CANCELLED = "ConditionalCheckFailedException", "TransactionCanceledException"
Attributes = Mapping[str, Any]


class ItemSizes:
    """How large the items are that were seen last; those of one write unit are not worth remembering."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, table: str, key: Attributes) -> int:
        """Bytes of the item that stands there, as far as is known; else 0."""
        with self._lock:
            return self._sizes.get((table, key[PK]["S"], key[SK]["S"]), 0)

    def know(self, table: str, key: Attributes, size: int) -> None:
        """Remember an item's size; 0: it is gone."""
        place = (table, key[PK]["S"], key[SK]["S"])
        with self._lock:
            self._sizes.pop(place, None)
            if size > billing.WRITE_UNIT:
                self._sizes[place] = size
                if len(self._sizes) > _REMEMBERED:
                    self._sizes.popitem(last=False)


def attach(client: Any) -> None:
    """Have every attempt of this client noted."""
    service, sizes = client.meta.service_model.service_id.hyphenize(), ItemSizes()

    def keep(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        if current_usage() is not None:
            context[_KEPT] = params

    def note(
        event_name: str, parsed_response: Attributes | None, context: dict[str, Any], exception: object, **_: object
    ) -> None:
        usage, params = current_usage(), context.get(_KEPT)
        if usage is None or params is None or not (exception is None or isinstance(exception, HTTPClientError)):
            return
        operation = event_name.rpartition(".")[2]
        answer = _Outcome(parsed_response)
        if service == "dynamodb":
            _note_table(usage, operation, params, answer, sizes)
        else:
            _note_bytes(usage, f"{service}.{operation}", params, answer)

    client.meta.events.register(f"before-parameter-build.{service}", keep)
    client.meta.events.register(f"response-received.{service}", note)


class _Outcome:
    """What came back from one attempt; nothing where the answer was lost."""

    def __init__(self, parsed: Attributes | None) -> None:
        self.body: Attributes = parsed or {}
        status = self.body.get("ResponseMetadata", {}).get("HTTPStatusCode", 200)
        self.code = str(self.body.get("Error", {}).get("Code", "")) if status >= 300 else ""

    @property
    def carried_out(self) -> bool:
        """Whether the call was, or may have been, carried out."""
        return not self.code

    @property
    def refused(self) -> bool:
        """Whether a condition did not hold."""
        return self.code in (_REFUSED, _CANCELLED)


def _note_bytes(usage: Usage, name: str, params: Attributes, answer: _Outcome) -> None:
    read = answer.body.get("ContentLength", 0) if answer.carried_out and name == "s3.GetObject" else 0
    usage.call(name, read=read, written=_length(params.get("Body")) if answer.carried_out else 0)


def _length(body: Any) -> int:
    if body is None:
        return 0
    if hasattr(body, "__len__"):
        return len(body)
    position = body.tell()
    size: int = body.seek(0, os.SEEK_END)
    body.seek(position)
    return size


def _note_table(usage: Usage, operation: str, params: Attributes, answer: _Outcome, sizes: ItemSizes) -> None:
    name = f"dynamodb.{operation}"
    if not answer.carried_out and not answer.refused:
        usage.call(name)
    elif operation in ("GetItem", "BatchGetItem", "Query"):
        usage.call(name, read_units=_READS[operation](params, answer.body, sizes))
    else:
        usage.call(name, write_units=sum(_written(operation, params, answer, sizes)))


def _got(params: Attributes, body: Attributes, sizes: ItemSizes) -> int:
    return billing.read_units(_seen(params["TableName"], body.get("Item"), sizes))


def _got_batch(params: Attributes, body: Attributes, sizes: ItemSizes) -> int:
    total = 0
    for table, asked in params["RequestItems"].items():
        found = [_seen(table, item, sizes) for item in body.get("Responses", {}).get(table, [])]
        left = len(body.get("UnprocessedKeys", {}).get(table, {}).get("Keys", []))
        total += sum(map(billing.read_units, found)) + len(asked["Keys"]) - left - len(found)
    return total


def _queried(params: Attributes, body: Attributes, sizes: ItemSizes) -> int:
    return billing.page_units(_seen(params["TableName"], item, sizes) for item in body.get("Items", []))


_READS = {"GetItem": _got, "BatchGetItem": _got_batch, "Query": _queried}


def _seen(table: str, item: Attributes | None, sizes: ItemSizes) -> int:
    if not item:
        return 0
    size = billing.item_size(item)
    sizes.know(table, item, size)
    return size


def _written(operation: str, params: Attributes, answer: _Outcome, sizes: ItemSizes) -> Iterator[int]:
    """The units of each item that a call wrote, or was refused to write."""
    match operation:
        case "TransactWriteItems":
            for action in params["TransactItems"]:
                ((kind, write),) = action.items()
                yield billing.TRANSACTION_FACTOR * _write(kind, write, answer, sizes)
        case "BatchWriteItem":
            left = answer.body.get("UnprocessedItems", {})
            for table, requests in params["RequestItems"].items():
                undone = {_place(request["PutRequest"]["Item"]) for request in left.get(table, [])}
                for request in requests:
                    item = request["PutRequest"]["Item"]
                    if _place(item) not in undone:
                        yield _write("Put", {"TableName": table, "Item": item}, answer, sizes)
        case _:
            yield _write(operation.removesuffix("Item"), params, answer, sizes)


def _write(kind: str, write: Attributes, answer: _Outcome, sizes: ItemSizes) -> int:
    """Units of one write, outside a transaction."""
    table, key = write["TableName"], write.get("Item") or write["Key"]
    if answer.code == _REFUSED:
        return billing.write_units(_seen(table, answer.body.get("Item"), sizes))
    before, after = sizes.of(table, key), _size_after(kind, write)
    if answer.carried_out and kind != "ConditionCheck":
        sizes.know(table, key, after)
    return billing.write_units(before, after)


def _size_after(kind: str, write: Attributes) -> int:
    match kind:
        case "Put":
            return billing.item_size(write["Item"])
        case "Update":
            names, values = write["ExpressionAttributeNames"], write["ExpressionAttributeValues"]
            used = sum(len(name) for placeholder, name in names.items() if _is_kept(placeholder, values))
            return billing.item_size(write["Key"]) + used + sum(map(billing.value_size, values.values()))
        case _:
            return 0


def _is_kept(placeholder: str, values: Attributes) -> bool:
    """Whether the update leaves this attribute in the item: `#expires_at` without a value is removed."""
    return placeholder != "#expires_at" or ":expires_at" in values


def _place(item: Attributes) -> tuple[str, str]:
    return item[PK]["S"], item[SK]["S"]
