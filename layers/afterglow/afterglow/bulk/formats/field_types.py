"""Values of typed columns from the text of a field: those of CSV, and of texts in a workbook."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from afterglow.bulk.formats.jsonl import loads_with_nan

_NAME = re.compile(r"[+-]?0[0-9]|.*_|\s|.*\s$")
"""Text that Python parses as a number but that is rather a name: 007, 1_2."""
_NOT_FINITE = {"nan", "inf", "infinity"}
_BOOLS = {"true": True, "false": False}


def infer_types(header: Sequence[str], records: Iterable[Sequence[str]]) -> dict[str, str]:
    """The types of the columns in a sample: `int`, `float`, `bool`, `json` (lists and objects) or `str`."""
    types: dict[str, str] = {}
    rows = [record for record in records if len(record) == len(header)]
    for index, name in enumerate(header):
        filled = [row[index] for row in rows if row[index] != ""]
        fields = [field for field in filled if not is_no_finite_number(field)]
        candidates = ("int", "float", "bool", "json")
        matching = (candidate for candidate in candidates if fields and all(fits(candidate, field) for field in fields))
        types[name] = next(matching, "str")
        if len(fields) < len(filled) and types[name] not in ("int", "float"):
            types[name] = "str"
    return types


def object_or_text(text: str) -> Any:
    """The object of a field of metadata, or its text if it holds none."""
    if not text.startswith("{"):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return loads_with_nan(text.encode())
        except ValueError:
            return text


def is_no_finite_number(text: str) -> bool:
    """Whether the text is NaN or infinity, which a column of numbers may hold."""
    return text.strip("+-").lower() in _NOT_FINITE


def fits(column_type: str, text: str) -> bool:
    """Whether the text is a value of this type."""
    try:
        convert(column_type, text)
    except ValueError:
        return False
    return True


def convert(column_type: str, text: str) -> Any:
    """The value of text that is not empty: `int`, `float`, `bool`, `json` or `str`. Raises ValueError."""
    match column_type:
        case "int" | "float" if is_no_finite_number(text):
            return float(text)
        case "int":
            value = int(text)
            if _NAME.match(text):
                raise ValueError(text)
            return value
        case "float":
            number = float(text)
            if not math.isfinite(number) or _NAME.match(text):
                raise ValueError(text)
            return number
        case "bool":
            try:
                return _BOOLS[text.lower()]
            except KeyError:
                raise ValueError(text) from None
        case "json":
            if text[0] not in "[{":
                raise ValueError(text)
            return orjson.loads(text)
        case _:
            return text
