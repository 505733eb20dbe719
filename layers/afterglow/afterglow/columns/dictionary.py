"""Vocabularies: the distinct strings of a lane, each known by a code.

GrowingVocabulary numbers strings as they come. SortedVocabulary is the form for good: one UTF-8 blob in byte order
(which is the order of code points), searched without decoding it, readable straight off a mapped file.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.arrays import slice_indices


class Dictionary(Protocol):
    """Strings by code, codes by string. Codes are 0 … len − 1; a vocabulary may grow but never changes a code."""

    def __len__(self) -> int: ...

    def code(self, text: str) -> int | None:
        """The code of a string, None where it is not in the vocabulary."""

    def value(self, code: int) -> str:
        """The string of a code."""

    def utf8_values(self, codes: NDArray[np.int64]) -> list[bytes]:
        """The strings of these codes, in UTF-8."""


class DictionaryBuilder:
    """Strings numbered in order of arrival. One writer; readers may look on while it writes."""

    __slots__ = ("_codes", "_texts")

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._texts: list[str] = []

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> int:
        """The code of a string, given to it now if it is new."""
        code = self._codes.get(text)
        if code is None:
            code = len(self._texts)
            self._texts.append(text)
            self._codes[text] = code
        return code

    def code(self, text: str) -> int | None:
        """The code of a string, None where it is not in the vocabulary."""
        return self._codes.get(text)

    def value(self, code: int) -> str:
        """The string of a code."""
        return self._texts[code]

    def utf8_values(self, codes: NDArray[np.int64]) -> list[bytes]:
        """The strings of these codes, in UTF-8."""
        texts = self._texts
        return [texts[code].encode() for code in codes.tolist()]


class SortedDictionary:
    """Strings in ascending order: code i is blob[offsets[i]:offsets[i + 1]]; uint8 blob, uint64 offsets (n + 1)."""

    __slots__ = ("_view", "data", "offsets")

    def __init__(self, blob: NDArray[np.uint8], offsets: NDArray[np.uint64]) -> None:
        self.data = blob
        self.offsets = offsets
        self._view = blob.data

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def code(self, text: str) -> int | None:
        """The code of a string by binary search, None where it is not in the vocabulary."""
        sought = text.encode()
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            found = self._encoded(middle)
            if found == sought:
                return middle
            if found < sought:
                low = middle + 1
            else:
                high = middle
        return None

    def value(self, code: int) -> str:
        """The string of a code."""
        return self._encoded(code).decode()

    def utf8_values(self, codes: NDArray[np.int64]) -> list[bytes]:
        """The strings of these codes, in UTF-8."""
        view = self._view
        bounds = zip(self.offsets[codes].tolist(), self.offsets[codes + 1].tolist(), strict=True)
        return [bytes(view[start:stop]) for start, stop in bounds]

    def subset(self, codes: NDArray[np.int64]) -> "SortedDictionary":
        """The vocabulary of these codes alone (ascending), renumbered from 0."""
        starts = self.offsets.view(np.int64)[codes]
        lengths = self.offsets.view(np.int64)[codes + 1] - starts
        items, offsets = slice_indices(starts, lengths)
        return SortedDictionary(self.data[items], offsets)

    def _encoded(self, code: int) -> bytes:
        return bytes(self._view[int(self.offsets[code]) : int(self.offsets[code + 1])])


def from_sorted(texts: Sequence[bytes]) -> SortedDictionary:
    """The vocabulary of UTF-8 strings that are already ascending and distinct."""
    offsets = np.zeros(len(texts) + 1, dtype=np.uint64)
    np.cumsum(np.fromiter(map(len, texts), dtype=np.uint64, count=len(texts)), out=offsets[1:])
    return SortedDictionary(np.frombuffer(b"".join(texts), dtype=np.uint8), offsets)


def merge_dictionaries(
    parts: Sequence[tuple[Dictionary, NDArray[np.uint32]]],
) -> tuple[SortedDictionary, list[NDArray[np.uint32]]]:
    """One sorted vocabulary of the strings that the codes of each part use, and those codes in its numbering."""
    used = [_used_codes(codes, len(vocabulary)) for vocabulary, codes in parts]
    if len(parts) == 1 and isinstance(parts[0][0], SortedDictionary):
        whole = parts[0][0]
        merged = whole if len(used[0]) == len(whole) else whole.subset(used[0])
        targets = [np.arange(len(merged), dtype=np.uint32)]
    else:
        texts = [vocabulary.utf8_values(codes) for (vocabulary, _), codes in zip(parts, used, strict=True)]
        ordered = sorted(set().union(*texts))
        numbers = {text: number for number, text in enumerate(ordered)}
        merged = from_sorted(ordered)
        targets = [np.fromiter(map(numbers.__getitem__, each), np.uint32, len(each)) for each in texts]
    renumbered = []
    for (vocabulary, codes), old, new in zip(parts, used, targets, strict=True):
        table = np.zeros(len(vocabulary), dtype=np.uint32)
        table[old] = new
        renumbered.append(table[codes])
    return merged, renumbered


def _used_codes(codes: NDArray[np.uint32], size: int) -> NDArray[np.int64]:
    flags = np.zeros(size, dtype=np.bool_)
    flags[codes] = True
    return np.flatnonzero(flags)
