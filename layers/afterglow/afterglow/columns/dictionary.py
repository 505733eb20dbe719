"""Dictionary encoding: the distinct strings of a column, each represented by a code.

DictionaryBuilder assigns codes in order of first occurrence. SortedDictionary is the immutable form: one UTF-8 buffer
in byte order (which is the order of code points), searched without decoding it, readable directly from a mapped file.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.arrays import slice_indices


class Dictionary(Protocol):
    """Strings by code, codes by string. Codes are 0 … len − 1; a dictionary may grow but never changes a code."""

    def __len__(self) -> int: ...

    def code(self, text: str) -> int | None:
        """The code of a string, None where the dictionary does not contain it."""

    def value(self, code: int) -> str:
        """The string of a code."""

    def utf8_values(self, codes: NDArray[np.int64]) -> list[bytes]:
        """The strings of these codes, in UTF-8."""


class DictionaryBuilder:
    """Codes in order of first occurrence. One writer; other threads may read at the same time."""

    __slots__ = ("_codes", "_strings")

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._strings: list[str] = []

    def __len__(self) -> int:
        return len(self._strings)

    def add(self, text: str) -> int:
        """The code of a string; a new string gets the next code."""
        code = self._codes.get(text)
        if code is None:
            code = len(self._strings)
            self._strings.append(text)
            self._codes[text] = code
        return code

    def code(self, text: str) -> int | None:
        """The code of a string, None where the dictionary does not contain it."""
        return self._codes.get(text)

    def value(self, code: int) -> str:
        """The string of a code."""
        return self._strings[code]

    def utf8_values(self, codes: NDArray[np.int64]) -> list[bytes]:
        """The strings of these codes, in UTF-8."""
        strings = self._strings
        return [strings[code].encode() for code in codes.tolist()]


class SortedDictionary:
    """Strings in ascending order: code i is data[offsets[i]:offsets[i + 1]]; data uint8, offsets uint64 (n + 1)."""

    __slots__ = ("_view", "data", "offsets")

    def __init__(self, data: NDArray[np.uint8], offsets: NDArray[np.uint64]) -> None:
        self.data = data
        self.offsets = offsets
        self._view = data.data

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def code(self, text: str) -> int | None:
        """The code of a string by binary search, None where the dictionary does not contain it."""
        target = text.encode()
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            candidate = self._utf8(middle)
            if candidate == target:
                return middle
            if candidate < target:
                low = middle + 1
            else:
                high = middle
        return None

    def value(self, code: int) -> str:
        """The string of a code."""
        return self._utf8(code).decode()

    def utf8_values(self, codes: NDArray[np.int64]) -> list[bytes]:
        """The strings of these codes, in UTF-8."""
        view = self._view
        bounds = zip(self.offsets[codes].tolist(), self.offsets[codes + 1].tolist(), strict=True)
        return [bytes(view[start:stop]) for start, stop in bounds]

    def subset(self, codes: NDArray[np.int64]) -> "SortedDictionary":
        """The dictionary of these codes alone (ascending), renumbered from 0."""
        starts = self.offsets.view(np.int64)[codes]
        lengths = self.offsets.view(np.int64)[codes + 1] - starts
        items, offsets = slice_indices(starts, lengths)
        return SortedDictionary(self.data[items], offsets)

    def _utf8(self, code: int) -> bytes:
        return bytes(self._view[int(self.offsets[code]) : int(self.offsets[code + 1])])


def from_sorted(strings: Sequence[bytes]) -> SortedDictionary:
    """The dictionary of UTF-8 strings that are already ascending and distinct."""
    offsets = np.zeros(len(strings) + 1, dtype=np.uint64)
    np.cumsum(np.fromiter(map(len, strings), dtype=np.uint64, count=len(strings)), out=offsets[1:])
    return SortedDictionary(np.frombuffer(b"".join(strings), dtype=np.uint8), offsets)


def merge_dictionaries(
    sources: Sequence[tuple[Dictionary, NDArray[np.uint32]]],
) -> tuple[SortedDictionary, list[NDArray[np.uint32]]]:
    """One sorted dictionary of the strings that the codes of each source use, and those codes in its numbering."""
    used = [_used_codes(codes, len(dictionary)) for dictionary, codes in sources]
    if len(sources) == 1 and isinstance(sources[0][0], SortedDictionary):
        only = sources[0][0]
        merged = only if len(used[0]) == len(only) else only.subset(used[0])
        targets = [np.arange(len(merged), dtype=np.uint32)]
    else:
        strings = [dictionary.utf8_values(codes) for (dictionary, _), codes in zip(sources, used, strict=True)]
        ordered = sorted(set().union(*strings))
        new_codes = {text: code for code, text in enumerate(ordered)}
        merged = from_sorted(ordered)
        targets = [np.fromiter(map(new_codes.__getitem__, group), np.uint32, len(group)) for group in strings]
    renumbered = []
    for (dictionary, codes), old, new in zip(sources, used, targets, strict=True):
        new_code_of = np.zeros(len(dictionary), dtype=np.uint32)
        new_code_of[old] = new
        renumbered.append(new_code_of[codes])
    return merged, renumbered


def _used_codes(codes: NDArray[np.uint32], size: int) -> NDArray[np.int64]:
    is_used = np.zeros(size, dtype=np.bool_)
    is_used[codes] = True
    return np.flatnonzero(is_used)
