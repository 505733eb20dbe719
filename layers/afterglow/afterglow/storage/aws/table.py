"""The Table port over one DynamoDB table, with strongly consistent reads (item layout: `storage.aws.expressions`).

* A conditional put is one PutItem; a failed condition returns the existing item. An unconditional put is an UpdateItem
  that increments the version.
* `put_many` is BatchWriteItem with 25 items per request; unprocessed items are sent again. It replaces items without
  reading them, so versions restart at 1. *Crash midway: any of the items may be missing.*
* `transact` is TransactWriteItems with one idempotency token for all attempts: DynamoDB applies it only once, so a lost
  response does no harm.
* A request that conflicts with another transaction on its items is repeated with increasing pauses, for about a second.

The response of a single write may be lost, too, and botocore repeats the request: a conditional put then fails on the
item that it wrote itself. `ConditionFailed.existing` has that item, and callers recognise their own by its contents.

A query is not atomic: concurrent with a transaction it may return some items from before and others from after it.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from afterglow.errors import Unavailable
from afterglow.storage.aws import expressions
from afterglow.storage.aws.clients import Clients, time_of
from afterglow.storage.aws.error_mapping import THROTTLED, code_of, map_errors, throttled
from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put, Write

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

T = TypeVar("T")

_ATTEMPTS = 8
_BATCH_GET = 100
_BATCH_WRITE = 25
_CONDITION_FAILED = "ConditionalCheckFailed"
_CONFLICTS = {"TransactionConflict", "TransactionInProgress"}
_EXISTING: dict[str, Any] = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
"""Makes a failed condition return the existing item."""


class DynamoTable:
    """Items in the existing table `name`."""

    has_cheap_transactions = False  # each write of a transaction is billed twice

    def __init__(self, clients: Clients, name: str) -> None:
        self._clients = clients
        self._name = name
        self._subject = f"table {name}"
        self._last_response: tuple[Any, float] | None = None
        """The response, and the monotonic time at which it had arrived."""

    def time(self) -> float | None:
        """Unix seconds by DynamoDB's clock, carried on since its last response; None before the first one."""
        if self._last_response is None:
            return None
        response, arrived = self._last_response
        answered = time_of(response)
        return None if answered is None else answered + self._clients.system.monotonic() - arrived

    def change_marker(self) -> None:
        """DynamoDB has none."""

    def get(self, pk: str, sk: str) -> Item | None:
        """Return the item, or None."""
        key = expressions.key(pk, sk)
        response = self._call(lambda: self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True))
        return expressions.item_of(response["Item"]) if "Item" in response else None

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Item | None]:
        """Return the items in the order of `keys`, None for a missing one."""
        items: dict[tuple[str, str], Item] = {}
        distinct = list(dict.fromkeys(keys))
        for start in range(0, len(distinct), _BATCH_GET):
            batch = [expressions.key(*key) for key in distinct[start : start + _BATCH_GET]]
            for attributes in self._get_batch(batch):
                item = expressions.item_of(attributes)
                items[item.pk, item.sk] = item
        return [items.get(key) for key in keys]

    def put(
        self,
        pk: str,
        sk: str,
        value: bytes,
        *,
        if_absent: bool = False,
        if_version: int | None = None,
        expires_at: int | None = None,
    ) -> int:
        """Write the item and return its new version."""
        put = Put(pk, sk, value, if_absent, if_version, expires_at)
        condition = expressions.condition_of(if_absent, if_version)
        version = 1 if if_version is None else if_version + 1
        attributes = expressions.attributes(put, version)
        if condition is None:
            return self._put_unconditionally(put)
        expression = expressions.arguments(ConditionExpression=condition)
        self._call(lambda: self._client.put_item(TableName=self._name, Item=attributes, **expression, **_EXISTING), put)
        return version

    def put_many(self, puts: Sequence[Put]) -> None:
        """Put all items unconditionally, 25 per request; the last of several puts to the same key applies."""
        last = {(put.pk, put.sk): put for put in puts}
        requests: list[Any] = [{"PutRequest": {"Item": expressions.attributes(put, 1)}} for put in last.values()]
        for start in range(0, len(requests), _BATCH_WRITE):
            unprocessed: Sequence[Any] = requests[start : start + _BATCH_WRITE]
            for _ in self._until_processed():
                response = self._call(partial(self._client.batch_write_item, RequestItems={self._name: unprocessed}))
                unprocessed = response["UnprocessedItems"].get(self._name, [])
                if not unprocessed:
                    break

    def query(
        self,
        pk: str,
        *,
        after: str = "",
        before: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[Item]:
        """Return the items of `pk` between `after` and `before`, both exclusive, in order of `sk`."""
        if before is not None and before <= after:
            return []
        request: dict[str, Any] = {"TableName": self._name, "ConsistentRead": True, "ScanIndexForward": not reverse}
        request |= expressions.arguments(KeyConditionExpression=expressions.key_range(pk, after, before))
        items: list[Item] = []
        while limit is None or len(items) < limit:
            if limit is not None:
                request["Limit"] = limit - len(items)
            page = self._call(lambda: self._client.query(**request))
            items += [item for item in map(expressions.item_of, page["Items"]) if item.sk not in (after, before)]
            if "LastEvaluatedKey" not in page:
                break
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return items

    def delete(self, pk: str, sk: str, *, if_version: int | None = None) -> None:
        """Remove the item."""
        key = expressions.key(pk, sk)
        expression = expressions.arguments(ConditionExpression=expressions.condition_of(False, if_version))
        delete = Delete(pk, sk, if_version)
        self._call(lambda: self._client.delete_item(TableName=self._name, Key=key, **expression, **_EXISTING), delete)

    def transact(self, writes: Sequence[Write]) -> None:
        """Apply all of `writes` or none."""
        actions = [self._action(write) for write in writes]
        token = self._clients.system.nonce()
        send = partial(self._client.transact_write_items, TransactItems=actions, ClientRequestToken=token)
        self._call(send, *writes)

    def scrub(self) -> bool:
        """Nothing is left on this machine."""
        return True

    def close(self) -> None:
        """Close connections."""
        self._clients.forget_credentials()

    @property
    def _client(self) -> "DynamoDBClient":
        return self._clients.dynamodb

    def _put_unconditionally(self, put: Put) -> int:
        key = expressions.key(put.pk, put.sk)
        expression = expressions.arguments(UpdateExpression=expressions.update(put))
        response = self._call(
            lambda: self._client.update_item(TableName=self._name, Key=key, ReturnValues="UPDATED_NEW", **expression)
        )
        return int(response["Attributes"][expressions.VERSION]["N"])

    def _get_batch(self, keys: list[Any]) -> Iterator[Any]:
        for _ in self._until_processed():
            request: Any = {self._name: {"Keys": keys, "ConsistentRead": True}}
            response = self._call(partial(self._client.batch_get_item, RequestItems=request))
            yield from response["Responses"].get(self._name, [])
            unprocessed = response["UnprocessedKeys"]
            if not unprocessed:
                return
            keys = [*unprocessed[self._name]["Keys"]]

    def _action(self, write: Write) -> Any:
        common = {"TableName": self._name, **_EXISTING}
        match write:
            case Put(if_absent=False, if_version=None):
                expressions.attributes(write, 1)  # raises TooLarge
                expression = expressions.arguments(UpdateExpression=expressions.update(write))
                return {"Update": {**common, "Key": expressions.key(write.pk, write.sk), **expression}}
            case Put():
                condition = expressions.condition_of(write.if_absent, write.if_version)
                item = expressions.attributes(write, (write.if_version or 0) + 1)
                return {"Put": {**common, "Item": item, **expressions.arguments(ConditionExpression=condition)}}
            case Delete():
                condition = expressions.condition_of(False, write.if_version)
                key = expressions.key(write.pk, write.sk)
                return {"Delete": {**common, "Key": key, **expressions.arguments(ConditionExpression=condition)}}
            case Check():
                condition = expressions.condition_of(write.if_absent, write.if_version) or expressions.PRESENT
                key = expressions.key(write.pk, write.sk)
                return {
                    "ConditionCheck": {**common, "Key": key, **expressions.arguments(ConditionExpression=condition)}
                }

    def _until_processed(self) -> Iterator[None]:
        """Yield once per attempt at a batch, with pauses between. Raises Busy after the last attempt."""
        for attempt in range(_ATTEMPTS):
            yield
            self._clients.pause(attempt)
        raise throttled(self._subject)

    def _call(self, send: Callable[[], T], *writes: Write) -> T:
        """Send; repeat while other transactions conflict. Raises ConditionFailed naming the first write that failed."""
        codes: list[str] = []
        for attempt in range(_ATTEMPTS):
            with map_errors(self._subject):
                try:
                    response = send()
                    self._last_response = response, self._clients.system.monotonic()
                    return response
                except ClientError as error:
                    reasons = _cancellation_reasons(error)
                    codes = [str(reason.get("Code", "")).removesuffix("Exception") for reason in reasons]
                    if _CONDITION_FAILED in codes:
                        index = codes.index(_CONDITION_FAILED)
                        raise _condition_failed(writes[index], reasons[index].get("Item")) from None
                    # Botocore has already repeated a throttled request, but not a transaction cancelled by throttling.
                    if code_of(error) in THROTTLED or not (_CONFLICTS | THROTTLED).intersection(codes):
                        raise
            self._clients.pause(attempt)
        if THROTTLED.intersection(codes):
            raise throttled(self._subject)
        raise Unavailable(f"{self._subject} is busy with other transactions on the same items; try again")


def _cancellation_reasons(error: ClientError) -> list[Any]:
    """Return the outcome of each write of a transaction, or of a single write."""
    response: Any = error.response
    return response.get("CancellationReasons") or [{"Code": code_of(error), "Item": response.get("Item")}]


def _condition_failed(write: Write, existing: Any) -> ConditionFailed:
    item = expressions.item_of(existing) if existing else None
    return ConditionFailed(f"{write.pk} {write.sk} is not as expected", item, (write.pk, write.sk))
