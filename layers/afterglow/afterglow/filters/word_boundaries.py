r"""Where `\b` can be said without it: around a pattern that surely begins and ends with a character of a word.

`\bcat\b` is found where `cat` stands between characters that belong to no word, or the ends of the text; that is a
pattern RE2 answers right for every alphabet, where its own `\b` knows ASCII only. It only goes at the two ends of a
pattern, as the neighbour is consumed.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from afterglow.filters.rust_properties import ASCII_WORD, WORD, WORD_CATEGORIES, Ranges

BOUNDARY = r"\b"
BEFORE_WORD = rf"(?:\A|[^{WORD}])"
AFTER_WORD = rf"(?:\z|[^{WORD}])"
ALTERNATIVE = "|"
FLAGS = re.compile(r"(\(\?[ims-]+\))?")


class Edges(NamedTuple):
    """Whether everything that an atom matches begins, or ends, with a character of a word (and is not empty)."""

    begins: bool
    ends: bool


UNKNOWN = Edges(False, False)
IN_WORD = Edges(True, True)


def of_point(point: int) -> Edges:
    """The edges of one character."""
    return IN_WORD if unicodedata.category(chr(point)) in WORD_CATEGORIES else UNKNOWN


def of_ranges(ranges: Ranges) -> Edges:
    """The edges of one character out of ranges; only those of ASCII are looked at closely."""
    is_word = all(any(low >= first and high <= last for first, last in ASCII_WORD) for low, high in ranges)
    return Edges(is_word, is_word)


def of_group(atoms: Sequence[str], edges: Sequence[Edges]) -> Edges:
    """The edges of a group, of its atoms and theirs."""
    breaks = [-1, *(place for place, atom in enumerate(atoms) if atom == ALTERNATIVE), len(atoms)]
    spans = [(start + 1, stop - 1) for start, stop in pairwise(breaks)]
    return Edges(
        begins=all(first <= last and edges[first].begins for first, last in spans),
        ends=all(first <= last and edges[last].ends for first, last in spans),
    )


def without_boundaries(atoms: Sequence[str], edges: Sequence[Edges], boundaries: int) -> list[str] | None:
    """The atoms of a pattern with `boundaries` assertions about words, said without them; None where that cannot be."""
    if ALTERNATIVE in atoms:
        return None
    rewritten = list(atoms)
    replaced = 0
    first = next((place for place, atom in enumerate(atoms) if not FLAGS.fullmatch(atom)), len(atoms))
    if first + 1 < len(atoms) and atoms[first] == BOUNDARY and edges[first + 1].begins:
        rewritten[first] = BEFORE_WORD
        replaced += 1
    if len(atoms) > 1 and atoms[-1] == BOUNDARY and edges[-2].ends:
        rewritten[-1] = AFTER_WORD
        replaced += 1
    return rewritten if replaced == boundaries else None
