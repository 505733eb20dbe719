"""What DynamoDB bills: the size of an item, and the request units of reading and writing it.

Rules, from the DynamoDB developer guide ("Item sizes and formats", "Read and write request units", "Managing complex
workflows with transactions: capacity management"):

* Size of an item: the UTF-8 bytes of each attribute's name, plus its value. String: its UTF-8 bytes. Binary: its bytes.
  Number: one byte, and one for every two significant digits, one more where it is negative.
* Write request unit: 1 KB, each item by itself, rounded up; at least 1. A put, an update and a delete are billed by the
  larger of the item before and after. A condition that fails is billed by the item that stands there, at least 1.
* In a transaction everything counts twice: once to prepare, once to commit; a condition check like a write.
* Read request unit: 4 KB, strongly consistent. A Query is billed by the sum of the items it looked at, rounded up once
  a page; GetItem and each item of BatchGetItem by itself. What is not there, and an empty page, costs 1.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

WRITE_UNIT = 1024
READ_UNIT = 4096
ITEM_LIMIT = 400 * 1024
TRANSACTION_FACTOR = 2


def item_size(attributes: "Mapping[str, Value]") -> int:
    """Bytes of an item with these attributes: strings, numbers and binaries."""
    return sum(len(name.encode()) + value_size(value) for name, value in attributes.items())


def value_size(value: "Value") -> int:
    """Bytes of one value."""
    if "B" in value:
        return len(value["B"])
    if "S" in value:
        return len(value["S"].encode())
    return number_size(value["N"])


def number_size(text: str) -> int:
    """Bytes of a whole number, given in decimal digits."""
    digits = text.lstrip("-").strip("0")
    return 1 + (len(digits) + 1) // 2 + text.startswith("-")


def write_units(*sizes: int) -> int:
    """Units of writing an item that had, and will have, these sizes."""
    return max(1, -(-max(sizes, default=0) // WRITE_UNIT))


def read_units(size: int) -> int:
    """Units of reading so many bytes at once."""
    return max(1, -(-size // READ_UNIT))


def page_units(sizes: Iterable[int]) -> int:
    """Units of one page of a Query."""
    return read_units(sum(sizes))
