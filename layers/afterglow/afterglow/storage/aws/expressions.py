"""The layout of a port's item in DynamoDB, and DynamoDB expressions built from named elements.

One table; attributes `pk` (S) and `sk` (S), the key, `value` (B), `version` (N), and optionally `expires_at` (N), the
table's TTL attribute. Expressions use a placeholder for every attribute name (`value` is a reserved word), and requests
define exactly the placeholders they use, because DynamoDB rejects unused ones.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from afterglow.errors import InvalidArgument, TooLarge
from afterglow.storage.aws import billing
from afterglow.storage.ports import Item, Put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

PK, SK, VALUE, VERSION, EXPIRES_AT = "pk", "sk", "value", "version", "expires_at"
_KEY_LIMITS = ((PK, 2048), (SK, 1024))


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression's text, the attributes that it names, and its values by placeholder."""

    text: str
    names: tuple[str, ...]
    values: "dict[str, Value]" = field(default_factory=dict)


ABSENT = Expression("attribute_not_exists(#pk)", (PK,))
PRESENT = Expression("attribute_exists(#pk)", (PK,))


def version_is(version: int) -> Expression:
    """The condition that the item has this version."""
    return Expression("#version = :expected", (VERSION,), {":expected": {"N": str(version)}})


def condition_of(if_absent: bool, if_version: int | None) -> Expression | None:
    """The condition for the port's arguments `if_absent` and `if_version`."""
    if if_absent:
        return ABSENT
    return None if if_version is None else version_is(if_version)


def update(put: Put) -> Expression:
    """The update expression of an unconditional put, which increments the version."""
    values: dict[str, Value] = {":value": {"B": put.value}, ":one": {"N": "1"}}
    if put.expires_at is None:
        return Expression(
            "SET #value = :value REMOVE #expires_at ADD #version :one", (VALUE, EXPIRES_AT, VERSION), values
        )
    values[":expires_at"] = {"N": str(put.expires_at)}
    text = "SET #value = :value, #expires_at = :expires_at ADD #version :one"
    return Expression(text, (VALUE, EXPIRES_AT, VERSION), values)


def key_range(pk: str, after: str, before: str | None) -> Expression:
    """The key condition of a query. With both bounds it includes them: DynamoDB has no exclusive range of sort keys."""
    values: dict[str, Value] = {":pk": {"S": pk}}
    if after:
        values[":after"] = {"S": after}
    if before is not None:
        values[":before"] = {"S": before}
    match bool(after), before is not None:
        case True, True:
            return Expression("#pk = :pk AND #sk BETWEEN :after AND :before", (PK, SK), values)
        case True, False:
            return Expression("#pk = :pk AND #sk > :after", (PK, SK), values)
        case False, True:
            return Expression("#pk = :pk AND #sk < :before", (PK, SK), values)
        case _:
            return Expression("#pk = :pk", (PK,), values)


def arguments(**expressions: Expression | None) -> dict[str, Any]:
    """Return the request parameters for expressions by parameter name; None omits one."""
    used = {name: expression for name, expression in expressions.items() if expression is not None}
    if not used:
        return {}
    values = {name: value for expression in used.values() for name, value in expression.values.items()}
    return {
        **{name: expression.text for name, expression in used.items()},
        "ExpressionAttributeNames": {f"#{name}": name for expression in used.values() for name in expression.names},
        **({"ExpressionAttributeValues": values} if values else {}),
    }


def key(pk: str, sk: str) -> "dict[str, Value]":
    """The key of an item. Raises InvalidArgument when it exceeds DynamoDB's limits."""
    for (name, limit), text in zip(_KEY_LIMITS, (pk, sk), strict=True):
        if len(text.encode()) > limit:
            raise InvalidArgument(f"{text[:80]!r}… exceeds the {limit} bytes that the table allows for {name}")
    return {PK: {"S": pk}, SK: {"S": sk}}


def attributes(put: Put, version: int) -> "dict[str, Value]":
    """The item that a put creates. Raises TooLarge over 400 KB."""
    item: dict[str, Value] = {**key(put.pk, put.sk), VALUE: {"B": put.value}, VERSION: {"N": str(version)}}
    if put.expires_at is not None:
        item[EXPIRES_AT] = {"N": str(put.expires_at)}
    if (size := billing.item_size(item)) > billing.ITEM_LIMIT:
        raise TooLarge(f"{put.pk} {put.sk} has {size} bytes; the table allows {billing.ITEM_LIMIT} per item")
    return item


def item_of(attributes: "Mapping[str, Any]") -> Item:
    """Return the port's item for DynamoDB's attributes."""
    expires_at = attributes.get(EXPIRES_AT)
    return Item(
        attributes[PK]["S"],
        attributes[SK]["S"],
        bytes(attributes[VALUE]["B"]),
        int(attributes[VERSION]["N"]),
        None if expires_at is None else int(expires_at["N"]),
    )
