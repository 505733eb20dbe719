"""Parses a body into a request model: malformed JSON is InvalidArgument (400), a schema mismatch InvalidBody (422).

The error texts follow Chroma's: the path of the offending value, then the problem.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from afterglow.api.validation import number_rows, record_lists
from afterglow.api.validation.duplicate_fields import find_duplicate
from afterglow.errors import InvalidArgument, InvalidBody

M = TypeVar("M", bound=BaseModel)

_SCHEMA_MISMATCH = "Failed to deserialize the JSON body into the target type: "
_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "list_type": "a sequence",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
}
_FUNCTION_TAGS = frozenset({"legacy", "known", "unknown"})
_OPERATION_TAGS = frozenset({"add", "update", "upsert", "delete"})
_MAX_QUOTED_CHARACTERS = 100


def parse(model: type[M], body: bytes) -> M:
    """Parse the body as `model`; embeddings in a large one may become `NumberRows`.

    Raises InvalidArgument, InvalidBody.
    """
    value = None
    if len(body) >= number_rows.LARGE_BYTES:
        value, body = _parse_large(body)
    if value is None:
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidArgument(f"Failed to parse the request body as JSON: {error}") from None
    duplicate = find_duplicate(model, body)
    if duplicate is not None:
        path, name = duplicate
        raise _field_error(path, f"duplicate field `{name}`")
    return validate(model, value)


def _parse_large(body: bytes) -> tuple[dict[str, Any] | None, bytes]:
    """The value of a body that is parsed piece by piece, and the body without these pieces; else None and the body."""
    rest, pieces = body, dict[str, Any]()
    numbers = number_rows.cut(rest)
    if numbers is not None:
        rest, rows = numbers
        pieces = dict.fromkeys(number_rows.FIELDS, rows)
    lists = record_lists.cut(rest) if len(rest) >= record_lists.LARGE_BYTES else None
    if lists is not None:
        rest = lists[0]
        pieces |= lists[1]
    if not pieces:
        return None, body
    try:
        value = orjson.loads(rest)
    except orjson.JSONDecodeError:
        return None, body
    if not isinstance(value, dict):
        return None, body
    found = {name: pieces[name] for name in pieces if value.get(name) == _placeholder(name)}
    if numbers is not None and not found.keys() & set(number_rows.FIELDS):
        return None, body
    if lists is not None and not found.keys() >= lists[1].keys():
        return None, body
    return {**value, **found}, rest


def _placeholder(name: str) -> str:
    return number_rows.PLACEHOLDER if name in number_rows.FIELDS else record_lists.PLACEHOLDER


def validate(model: type[M], value: Any) -> M:
    """The model of a body that is parsed already. Raises InvalidBody."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _invalid_body(error.errors(include_url=False, include_context=True)[0]) from None


def schema_error(path: str, problem: str) -> InvalidBody:
    """The error for a value at `path` that fails a hand-written check."""
    return InvalidBody(f"{_SCHEMA_MISMATCH}{path}: {problem}" if path else f"{_SCHEMA_MISMATCH}{problem}")


def type_error(path: str, value: object, expected: str) -> InvalidBody:
    """The error for a value at `path` of another type than `expected`."""
    return schema_error(path, f"invalid type: {_preview(value)}, expected {expected}")


def _invalid_body(error: ErrorDetails) -> InvalidBody:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    location = list(error["loc"])
    if kind == "missing":
        problem = f"missing field `{location.pop()}`"
    elif kind == "extra_forbidden":
        problem = f"unknown field `{location[-1]}`"
    elif kind == "literal_error":
        problem = f"unknown variant {_quote(value)}, expected one of {_join(context['expected'])}"
    elif kind == "union_tag_invalid":
        location.append(_discriminator(context))
        problem = f"unknown variant `{context['tag']}`, expected one of {_join(context['expected_tags'])}"
    elif kind == "union_tag_not_found":
        problem = f"missing field `{_discriminator(context)}`"
    elif kind == "greater_than_equal":
        problem = f"invalid value: {_preview(value)}, expected at least {context['ge']}"
    elif kind == "less_than_equal":
        problem = f"invalid value: {_preview(value)}, expected at most {context['le']}"
    else:
        problem = f"invalid type: {_preview(value)}, expected {_EXPECTED.get(kind, error['msg'])}"
    return _field_error(location, problem)


def _discriminator(context: Mapping[str, Any]) -> str:
    """The field that tells which member of a union a value is."""
    return str(context["discriminator"]).strip("'")


def _field_error(location: Sequence[int | str], problem: str) -> InvalidBody:
    path = _path(location)
    return InvalidBody(f"{_SCHEMA_MISMATCH}{path}: {problem}" if path else f"{_SCHEMA_MISMATCH}{problem}")


def _path(location: Sequence[int | str]) -> str:
    path = ""
    for before, part in zip([None, *location], location, strict=False):
        if isinstance(part, int):
            path += f"[{part}]"
        elif not (before == "embedding_function" and part in _FUNCTION_TAGS) and not (
            isinstance(before, int) and part in _OPERATION_TAGS
        ):
            path += f".{part}" if path else part
    return path


def _join(expected: str) -> str:
    return expected.replace(" or ", ", ").replace("'", "`")


def _quote(value: Any) -> str:
    return f"`{value[:_MAX_QUOTED_CHARACTERS]}`" if isinstance(value, str) else _preview(value)


def _preview(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int():
            return f"integer `{value}`"
        case float():
            return f"floating point `{value}`"
        case str():
            return "string " + orjson.dumps(value[:_MAX_QUOTED_CHARACTERS]).decode()
        case list():
            return "sequence"
        case _:
            return "map"
