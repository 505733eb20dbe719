"""DynamoDB's billing rules: the size of an item and the request units of writes.

Rules, from the DynamoDB developer guide ("Item sizes and formats", "Read and write request units", "Managing complex
workflows with transactions: capacity management"):

* Size of an item: the UTF-8 bytes of each attribute's name, plus its value. String: its UTF-8 bytes. Binary: its bytes.
  Number: one byte, and one for every two significant digits, one more where it is negative.
* Write request unit: 1 KB, rounded up per item; at least 1. A put, an update and a delete are billed by the larger of
  the sizes before and after. A failed condition is billed by the size of the existing item, at least 1.
* In a transaction everything counts twice, for prepare and for commit; a condition check counts like a write.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

WRITE_UNIT = 1024
ITEM_LIMIT = 400 * 1024
TRANSACTION_FACTOR = 2


def item_size(attributes: "Mapping[str, Value]") -> int:
    """Return the size in bytes of an item with these string, number and binary attributes."""
    return sum(len(name.encode()) + value_size(value) for name, value in attributes.items())


def value_size(value: "Value") -> int:
    """Return the size in bytes of one value."""
    if "B" in value:
        return len(value["B"])
    if "S" in value:
        return len(value["S"].encode())
    return number_size(value["N"])


def number_size(text: str) -> int:
    """Return the size in bytes of a whole number in decimal notation."""
    digits = text.lstrip("-").strip("0")
    return 1 + (len(digits) + 1) // 2 + text.startswith("-")


def written_size(kind: str, write: "Mapping[str, Any]") -> int:
    """Return the size of the item after a Put, Update, Delete or ConditionCheck with these parameters; 0: no item.

    The version that an update returns counts as a number of one digit.
    """
    match kind:
        case "Put":
            return item_size(write["Item"])
        case "Update":
            names, values = write["ExpressionAttributeNames"], write["ExpressionAttributeValues"]
            name_bytes = sum(len(name) for placeholder, name in names.items() if _is_set(placeholder, values))
            return item_size(write["Key"]) + name_bytes + sum(map(value_size, values.values()))
        case _:
            return 0


def _is_set(placeholder: str, values: "Mapping[str, Any]") -> bool:
    """Whether the item has this attribute after the update: `#expires_at` without a value is removed."""
    return placeholder != "#expires_at" or ":expires_at" in values


def write_units(*sizes: int) -> int:
    """Return the units for writing an item with these sizes before and after."""
    return max(1, -(-max(sizes, default=0) // WRITE_UNIT))
