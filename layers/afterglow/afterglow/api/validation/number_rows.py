"""Embeddings of large bodies, parsed one vector at a time.

A parser holds the interpreter lock for its whole input: for a body of 30 MB no other request is answered for half a
second. Most of such a body is numbers. So:

1. Find the key of the embeddings, followed by a list of lists.
2. Parse each of these lists on its own, to float32. Between two of them other threads run.
3. The caller parses the rest of the body, with a placeholder where the lists were.

Only what needs no error is parsed so: lists of equally many numbers, at least 64, that float32 can hold. Otherwise
`cut` returns None, and the body is parsed as a whole, with the same result as ever.
"""

import re
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.records.embeddings import NUMBER_TYPES

FIELDS = ("embeddings", "query_embeddings")
PLACEHOLDER = "rows of numbers"
LARGE_BYTES = 1024 * 1024
"""Smaller bodies are parsed as a whole: it takes at most some 15 ms."""

_LEAST_NUMBERS = 64
"""Of shorter lists a body may have so many that one at a time takes longer than all at once."""
_PLACEHOLDER = orjson.dumps(PLACEHOLDER)
_LAST_WORD = b'embeddings"'
_LISTS = re.compile(rb'"(?:query_)?embeddings"\s*+:\s*+(\[\s*+)\[')
_PREFIXES = (len(b'"'), len(b'"query_'))
_SEPARATOR = re.compile(rb"\s*+([,\]])\s*+")


@dataclass(frozen=True, slots=True)
class NumberRows:
    """Vectors that were lists of numbers in a body: float32 (m, d), finite; m is at least 1."""

    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.vectors)


def cut(body: bytes) -> tuple[bytes, NumberRows] | None:
    """The body with the placeholder instead of the vectors, and the vectors; None: parse it as a whole.

    The caller checks that the placeholder is the value of one of `FIELDS`.
    """
    if _PLACEHOLDER in body:
        return None
    lists = _find_lists(body)
    if lists is None:
        return None
    view = memoryview(body)
    with np.errstate(over="ignore"):  # numbers beyond float32 become infinite here, and are refused by the other way
        parsed = _parse_rows(body, view, lists.end() - 1)
    if parsed is None:
        return None
    vectors, end = parsed
    if not np.isfinite(vectors).all():
        return None
    return b"".join([view[: lists.start(1)], _PLACEHOLDER, view[end:]]), NumberRows(vectors)


def _parse_rows(body: bytes, view: memoryview, start: int) -> tuple[NDArray[np.float32], int] | None:
    """The lists from `start` on, up to the bracket that closes the list of lists, and the position behind it."""
    rows: list[NDArray[np.float32]] = []
    position = start
    while True:
        end = body.find(b"]", position) + 1
        row = _parse_row(view[position:end])
        separator = _SEPARATOR.match(body, end)
        if row is None or separator is None or len(row) != len(rows[0] if rows else row):
            return None
        rows.append(row)
        if separator[1] == b"]":
            return np.stack(rows), separator.end(1)
        position = separator.end()


def _find_lists(body: bytes) -> re.Match[bytes] | None:
    """The key of the embeddings up to the first bracket of the first list, if they are a list of lists."""
    position = body.find(_LAST_WORD)
    while position >= 0:
        for length in _PREFIXES:
            if position >= length and (found := _LISTS.match(body, position - length)):
                return found
        position = body.find(_LAST_WORD, position + 1)
    return None


def _parse_row(text: memoryview) -> NDArray[np.float32] | None:
    """A list of enough numbers; None if it is anything else."""
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if type(row) is not list or len(row) < _LEAST_NUMBERS or not NUMBER_TYPES.issuperset(map(type, row)):
        return None
    return np.array(row, dtype=np.float32)
