"""How an item of the port lies in DynamoDB, and the expressions over it, built from named parts.

One table; attributes `pk` (S) and `sk` (S), the key, `value` (B), `version` (N), and `expires_at` (N) where given,
which is the table's TTL attribute. Every name in an expression goes by a placeholder (`value` is a reserved word), and
a placeholder is given exactly where it is used, as DynamoDB refuses any that is not.
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
    """Text of an expression, the attributes whose names stand in it, and its values by placeholder."""

    text: str
    names: tuple[str, ...]
    values: "dict[str, Value]" = field(default_factory=dict)


ABSENT = Expression("attribute_not_exists(#pk)", (PK,))
PRESENT = Expression("attribute_exists(#pk)", (PK,))


def version_is(version: int) -> Expression:
    """The condition that the item has this version."""
    return Expression("#version = :expected", (VERSION,), {":expected": {"N": str(version)}})


def condition_of(if_absent: bool, if_version: int | None) -> Expression | None:
    """The condition that the port's two arguments ask for."""
    if if_absent:
        return ABSENT
    return None if if_version is None else version_is(if_version)


def update(put: Put) -> Expression:
    """What makes an unconditional put of an item that may have any version."""
    values: dict[str, Value] = {":value": {"B": put.value}, ":one": {"N": "1"}}
    if put.expires_at is None:
        return Expression(
            "SET #value = :value REMOVE #expires_at ADD #version :one", (VALUE, EXPIRES_AT, VERSION), values
        )
    values[":expires_at"] = {"N": str(put.expires_at)}
    text = "SET #value = :value, #expires_at = :expires_at ADD #version :one"
    return Expression(text, (VALUE, EXPIRES_AT, VERSION), values)


def between(pk: str, after: str, before: str | None) -> Expression:
    """The key condition of a query. Between two ends DynamoDB has only the range that includes them."""
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


def arguments(**parts: Expression | None) -> dict[str, Any]:
    """The parameters of a call for expressions by parameter name; None: no such expression."""
    given = {name: part for name, part in parts.items() if part is not None}
    if not given:
        return {}
    values = {name: value for part in given.values() for name, value in part.values.items()}
    return {
        **{name: part.text for name, part in given.items()},
        "ExpressionAttributeNames": {f"#{name}": name for part in given.values() for name in part.names},
        **({"ExpressionAttributeValues": values} if values else {}),
    }


def key(pk: str, sk: str) -> "dict[str, Value]":
    """The key of an item. Raises InvalidArgument where DynamoDB takes none so long."""
    for (name, limit), text in zip(_KEY_LIMITS, (pk, sk), strict=True):
        if len(text.encode()) > limit:
            raise InvalidArgument(f"{text[:80]!r}… is longer than the {limit} bytes that the table takes as {name}")
    return {PK: {"S": pk}, SK: {"S": sk}}


def attributes(put: Put, version: int) -> "dict[str, Value]":
    """The item that a put makes. Raises TooLarge over 400 KB."""
    made: dict[str, Value] = {**key(put.pk, put.sk), VALUE: {"B": put.value}, VERSION: {"N": str(version)}}
    if put.expires_at is not None:
        made[EXPIRES_AT] = {"N": str(put.expires_at)}
    if (size := billing.item_size(made)) > billing.ITEM_LIMIT:
        raise TooLarge(f"{put.pk} {put.sk} has {size} bytes, and an item of the table at most {billing.ITEM_LIMIT}")
    return made


def item_of(attributes: "Mapping[str, Any]") -> Item:
    """The port's item."""
    expires_at = attributes.get(EXPIRES_AT)
    return Item(
        attributes[PK]["S"],
        attributes[SK]["S"],
        bytes(attributes[VALUE]["B"]),
        int(attributes[VERSION]["N"]),
        None if expires_at is None else int(expires_at["N"]),
    )
