"""Lists of ids, documents, metadata and uris of a very large body, parsed piece by piece.

A parser holds the interpreter lock for its whole input: 30 MB of metadata take about half a second, and as long again
for the check of duplicate fields, in which no other request is answered. So:

1. Find the key of a list.
2. Step from item to item: over a string to its closing quote, over anything else by a regular expression, which checks
   nothing but that brackets and strings are closed.
3. Parse the items in pieces of about 1 MiB. Between two pieces, and between two items, other threads run.
4. The caller parses the rest of the body, with a placeholder where the lists were.

A piece that is valid JSON between brackets consists of complete items. Where anything else is found, or too many or too
large items, `cut` returns None, and the body is parsed as a whole, with the same result as ever.
"""

import re
from typing import Any

import orjson

FIELDS = ("ids", "documents", "metadatas", "uris")
PLACEHOLDER = "list of a record's field"
LARGE_BYTES = 4 * 1024 * 1024
"""Smaller bodies are parsed as a whole: a body of metadata takes less than 100 ms, and one of texts a few."""

_PIECE_BYTES = 1024 * 1024
_MAX_ITEMS = 100_000
"""Stepping over more takes longer than the whole parse would."""
_MAX_ITEM_BYTES = 1024 * 1024
"""Of an item that is no string."""
_DEPTH = 4
"""Of the brackets in an item."""
_PLACEHOLDER = orjson.dumps(PLACEHOLDER)
_KEY = re.compile(rb'"(' + "|".join(FIELDS).encode() + rb')"\s*+:\s*+(\[)\s*+')
_STRING = rb'"(?:[^"\\]++|\\.)*+"'


def _in_brackets(depth: int) -> bytes:
    inner = rb"|" + _in_brackets(depth - 1) if depth > 1 else b""
    return rb'[\[{](?:[^"\[\]{}]++|' + _STRING + inner + rb")*+[\]}]"


_NO_STRING = re.compile(rb'[^"\[\]{},\s]++|' + _in_brackets(_DEPTH), re.DOTALL)
_EMPTY = re.compile(rb"\s*+\]")
_SEPARATOR = re.compile(rb"\s*+([,\]])\s*+")
_BACKSLASH = ord("\\")


def cut(body: bytes) -> tuple[bytes, dict[str, list[Any]]] | None:
    """The body with placeholders instead of its lists, and the lists by name; None: parse it as a whole.

    The caller checks that the placeholders are the values of these names.
    """
    if _PLACEHOLDER in body:
        return None
    parts: list[bytes] = []
    lists: dict[str, list[Any]] = {}
    position = 0
    while (key := _KEY.search(body, position)) is not None:
        name = key[1].decode()
        parsed = None if name in lists else _parse_items(body, key.end())
        if parsed is None:
            return None
        parts += [body[position : key.start(2)], _PLACEHOLDER]
        lists[name], position = parsed
    return b"".join([*parts, body[position:]]), lists


def _parse_items(body: bytes, start: int) -> tuple[list[Any], int] | None:
    """The items from `start` on, and the position behind the bracket that closes their list."""
    items: list[Any] = []
    empty = _EMPTY.match(body, start)
    if empty is not None:
        return items, empty.end()
    position = start
    for _ in range(_MAX_ITEMS):
        separator = _SEPARATOR.match(body, _item_end(body, position))
        if separator is None:
            return None
        position = separator.end()
        is_last = separator[1] == b"]"
        if is_last or position - start >= _PIECE_BYTES:
            try:
                items += orjson.loads(b"[%b]" % body[start : separator.start(1)])
            except orjson.JSONDecodeError:
                return None
            start = position
        if is_last:
            return items, separator.end(1)
    return None


def _item_end(body: bytes, start: int) -> int:
    """The position behind the item; the end of the body if that is unknown."""
    if body[start : start + 1] != b'"':
        item = _NO_STRING.match(body, start, min(start + _MAX_ITEM_BYTES, len(body)))
        return len(body) if item is None else item.end()
    position = start
    while (quote := body.find(b'"', position + 1)) >= 0:
        before = quote - 1
        while body[before] == _BACKSLASH:
            before -= 1
        if (quote - before) % 2:
            return quote + 1
        position = quote
    return len(body)
