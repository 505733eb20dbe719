"""The Table port over one DynamoDB table (`storage.aws.expressions`: how an item lies in it). Reads are strongly consistent.

* A put on a condition is one PutItem; what stands there instead comes back with the refusal. One without is an
  UpdateItem that adds 1 to the version.
* `put_many` is BatchWriteItem, 25 items a call; what DynamoDB leaves unprocessed is asked for again. It replaces items
  without reading them, so versions begin anew at 1. *Crash midway: any of the items may be missing.*
* `transact` is TransactWriteItems with one token for all attempts: what DynamoDB has applied it applies no second time,
  so a lost answer does no harm.
* A call that meets another transaction on its item is repeated with growing pauses, for about a second.

The answer of a single write may be lost as well, and botocore repeats it: a put on a condition then fails on the item
that it wrote itself. `ConditionFailed.existing` shows it, and the caller knows its own item by what it put into it.

A query is not one moment: beside a transaction it may see some of its items as before and others as after it.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from afterglow.errors import Unavailable
from afterglow.storage.aws import expressions
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.error_mapping import THROTTLED, code_of, map_errors, throttled
from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put, Write

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

T = TypeVar("T")

_ATTEMPTS = 8
_BATCH_GET = 100
_BATCH_WRITE = 25
_REFUSED = "ConditionalCheckFailed"
_CONFLICTS = {"TransactionConflict", "TransactionInProgress"}
_OLD: dict[str, Any] = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


class DynamoTable:
    """Items in the table called `name`, which must be there."""

    def __init__(self, clients: Clients, name: str) -> None:
        self._clients = clients
        self._name = name
        self._subject = f"table {name}"

    def get(self, pk: str, sk: str) -> Item | None:
        """The item, or None."""
        key = expressions.key(pk, sk)
        found = self._call(lambda: self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True))
        return expressions.item_of(found["Item"]) if "Item" in found else None

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Item | None]:
        """The items in the order of `keys`, None where there is none."""
        found: dict[tuple[str, str], Item] = {}
        distinct = list(dict.fromkeys(keys))
        for start in range(0, len(distinct), _BATCH_GET):
            wanted = [expressions.key(*each) for each in distinct[start : start + _BATCH_GET]]
            for attributes in self._get_batch(wanted):
                item = expressions.item_of(attributes)
                found[item.pk, item.sk] = item
        return [found.get(each) for each in keys]

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
            return self._add(put)
        expression = expressions.arguments(ConditionExpression=condition)
        self._call(lambda: self._client.put_item(TableName=self._name, Item=attributes, **expression, **_OLD), put)
        return version

    def put_many(self, puts: Sequence[Put]) -> None:
        """Unconditional puts, 25 a call; of several of one item the last counts."""
        last = {(put.pk, put.sk): put for put in puts}
        requests: list[Any] = [{"PutRequest": {"Item": expressions.attributes(put, 1)}} for put in last.values()]
        for start in range(0, len(requests), _BATCH_WRITE):
            left: Sequence[Any] = requests[start : start + _BATCH_WRITE]
            for _ in self._until_processed():
                done = self._call(partial(self._client.batch_write_item, RequestItems={self._name: left}))
                left = done["UnprocessedItems"].get(self._name, [])
                if not left:
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
        """Items of `pk` between `after` and `before`, both exclusive, in order of `sk`."""
        if before is not None and before <= after:
            return []
        asked: dict[str, Any] = {"TableName": self._name, "ConsistentRead": True, "ScanIndexForward": not reverse}
        asked |= expressions.arguments(KeyConditionExpression=expressions.between(pk, after, before))
        found: list[Item] = []
        while limit is None or len(found) < limit:
            if limit is not None:
                asked["Limit"] = limit - len(found)
            page = self._call(lambda: self._client.query(**asked))
            ends = (after, before)
            found += [item for item in map(expressions.item_of, page["Items"]) if item.sk not in ends]
            if "LastEvaluatedKey" not in page:
                break
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return found

    def delete(self, pk: str, sk: str, *, if_version: int | None = None) -> None:
        """Remove the item."""
        key, expression = (
            expressions.key(pk, sk),
            expressions.arguments(ConditionExpression=expressions.condition_of(False, if_version)),
        )
        delete = Delete(pk, sk, if_version)
        self._call(lambda: self._client.delete_item(TableName=self._name, Key=key, **expression, **_OLD), delete)

    def transact(self, writes: Sequence[Write]) -> None:
        """All of `writes` or none."""
        actions = [self._action(write) for write in writes]
        token = self._clients.system.nonce()
        send = partial(self._client.transact_write_items, TransactItems=actions, ClientRequestToken=token)
        self._call(send, *writes)

    def close(self) -> None:
        """Let go of connections."""
        self._clients.forget_credentials()

    @property
    def _client(self) -> "DynamoDBClient":
        return self._clients.dynamodb

    def _add(self, put: Put) -> int:
        key, expression = (
            expressions.key(put.pk, put.sk),
            expressions.arguments(UpdateExpression=expressions.update(put)),
        )
        done = self._call(
            lambda: self._client.update_item(TableName=self._name, Key=key, ReturnValues="UPDATED_NEW", **expression)
        )
        return int(done["Attributes"][expressions.VERSION]["N"])

    def _get_batch(self, keys: list[Any]) -> Iterator[Any]:
        for _ in self._until_processed():
            asked: Any = {self._name: {"Keys": keys, "ConsistentRead": True}}
            done = self._call(partial(self._client.batch_get_item, RequestItems=asked))
            yield from done["Responses"].get(self._name, [])
            left = done["UnprocessedKeys"]
            if not left:
                return
            keys = [*left[self._name]["Keys"]]

    def _action(self, write: Write) -> Any:
        place = {"TableName": self._name, **_OLD}
        match write:
            case Put(if_absent=False, if_version=None):
                expressions.attributes(write, 1)
                expression = expressions.arguments(UpdateExpression=expressions.update(write))
                return {"Update": {**place, "Key": expressions.key(write.pk, write.sk), **expression}}
            case Put():
                condition = expressions.condition_of(write.if_absent, write.if_version)
                item = expressions.attributes(write, (write.if_version or 0) + 1)
                return {"Put": {**place, "Item": item, **expressions.arguments(ConditionExpression=condition)}}
            case Delete():
                condition = expressions.condition_of(False, write.if_version)
                key = expressions.key(write.pk, write.sk)
                return {"Delete": {**place, "Key": key, **expressions.arguments(ConditionExpression=condition)}}
            case Check():
                key = expressions.key(write.pk, write.sk)
                return {
                    "ConditionCheck": {
                        **place,
                        "Key": key,
                        **expressions.arguments(ConditionExpression=expressions.PRESENT),
                    }
                }

    def _until_processed(self) -> Iterator[None]:
        """As often as part of a batch may be left, with a pause before each further time. Raises Busy after that."""
        for attempt in range(_ATTEMPTS):
            yield
            self._clients.pause(attempt)
        raise throttled(self._subject)

    def _call(self, send: Callable[[], T], *writes: Write) -> T:
        """Send, again where another transaction is in the way. Raises ConditionFailed naming the one of `writes`."""
        codes: list[str] = []
        for attempt in range(_ATTEMPTS):
            with map_errors(self._subject):
                try:
                    return send()
                except ClientError as error:
                    answers = _answers(error)
                    codes = [str(answer.get("Code", "")).removesuffix("Exception") for answer in answers]
                    if _REFUSED in codes:
                        at = codes.index(_REFUSED)
                        raise _condition_failed(writes[at], answers[at].get("Item")) from None
                    # A throttled call botocore has repeated already, a transaction that met throttling it has not.
                    if code_of(error) in THROTTLED or not (_CONFLICTS | THROTTLED).intersection(codes):
                        raise
            self._clients.pause(attempt)
        if THROTTLED.intersection(codes):
            raise throttled(self._subject)
        raise Unavailable(f"{self._subject} is busy with other transactions on the same items; try again")


def _answers(error: ClientError) -> list[Any]:
    """What is said of each write of a transaction, or of the only one."""
    response: Any = error.response
    return response.get("CancellationReasons") or [{"Code": code_of(error), "Item": response.get("Item")}]


def _condition_failed(write: Write, existing: Any) -> ConditionFailed:
    item = expressions.item_of(existing) if existing else None
    return ConditionFailed(f"{write.pk} {write.sk} is not as expected", item)
