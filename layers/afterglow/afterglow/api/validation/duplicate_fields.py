"""Refuses a request that has a field twice, as Chroma does; keys of maps (metadata, filters) may repeat, the last wins.

orjson takes the last of two equal keys without notice, so the check reads the text:

1. One regular expression finds the names of the model's fields where they are keys. It looks at nothing but quotation
   marks, so a vector costs a memchr. If no name occurs twice in the whole body, there is no duplicate: most requests
   end here.
2. Otherwise, for example if a metadata key has the name of a field, a scan of braces and keys looks for an object with
   a key twice.
3. Only for such an object, the body is parsed again by `json`, which is slow but reports all keys, to find out whether
   the key is a field of the model, and its path.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, get_args, get_origin

import orjson
from pydantic import BaseModel

_TOKENS = re.compile(rb'[{}]|"((?:[^"\\]++|\\.)*+)"\s*+(:)?')
"""Braces and strings; a string is a key if a colon follows."""


class _Object(dict[str, Any]):
    """A JSON object, and the keys that its text has more than once."""

    __slots__ = ("duplicates",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.duplicates: frozenset[str] = frozenset()
        if len(self) < len(pairs):
            seen: set[str] = set()
            self.duplicates = frozenset(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def find_duplicate(model: type[BaseModel], body: bytes) -> tuple[list[str | int], str] | None:
    """The path of the first object of the model that has a field twice, and the field; `body` is valid JSON."""
    keys = _key_pattern(model).findall(body)
    if len(keys) == len(set(keys)) and b"" not in keys:
        return None
    if not _has_duplicate_key(body):
        return None
    try:
        # Numbers are of no interest, and an int of thousands of digits is an error in Python.
        value = json.loads(body, object_pairs_hook=_Object, parse_int=float)
    except RecursionError:
        return None  # deeper than any model: the schema refuses it
    return next(_duplicates(value, model, []), None)


def _has_duplicate_key(body: bytes) -> bool:
    """Whether any object has a key twice."""
    objects: list[set[bytes]] = []
    for token in _TOKENS.finditer(body):
        if token[0] == b"{":
            objects.append(set())
        elif token[0] == b"}":
            objects.pop()
        elif token[2]:
            key = orjson.loads(b'"%b"' % token[1]).encode() if b"\\" in token[1] else token[1]
            if key in objects[-1]:
                return True
            objects[-1].add(key)
    return False


@cache
def _key_pattern(model: type[BaseModel]) -> re.Pattern[bytes]:
    """Matches a key that is a field of the model or of a nested one, and empty for a key spelt with an escape."""
    names = "|".join(sorted(re.escape(name) for name in _names(model, set())))
    return re.compile(rf'"(?:({names})"\s*:|[A-Za-z_$]*+\\u00[2-7])'.encode())


def _names(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    if model in seen:
        return set()
    seen.add(model)
    names = {field.alias or name for name, field in model.model_fields.items()}
    for field in model.model_fields.values():
        for nested in _models(field.annotation):
            names |= _names(nested, seen)
    return names


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _duplicates(value: Any, annotation: Any, path: list[str | int]) -> Iterator[tuple[list[str | int], str]]:
    """The duplicate fields of the models at and below `value`."""
    if not any(True for _ in _models(annotation)):
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is list:
        if isinstance(value, list):
            yield from _duplicates_of_items(enumerate(value), arguments[0], path)
    elif origin is dict:
        if isinstance(value, dict):
            yield from _duplicates_of_items(value.items(), arguments[1], path)
    elif arguments:
        for argument in arguments:
            yield from _duplicates(value, argument, path)
    elif isinstance(value, _Object):
        for name, field in annotation.model_fields.items():
            key = field.alias or name
            if key in value.duplicates:
                yield path, key
            yield from _duplicates(value.get(key), field.annotation, [*path, key])


def _duplicates_of_items(
    items: Iterable[tuple[str | int, Any]], annotation: Any, path: list[str | int]
) -> Iterator[tuple[list[str | int], str]]:
    for key, item in items:
        yield from _duplicates(item, annotation, [*path, key])
