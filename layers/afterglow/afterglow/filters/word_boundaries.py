r"""Rewrite `\b` at the ends of a pattern without it, if the pattern certainly starts or ends with a word character.

`\bcat\b` matches where `cat` is between non-word characters or the ends of the string. RE2 can match that for every
alphabet, while its own `\b` is ASCII only. The rewrite is limited to the two ends of a pattern, because the neighbour
is consumed.
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
    """Whether every match of an atom starts, or ends, with a word character (and is not empty)."""

    begins: bool
    ends: bool


UNKNOWN = Edges(False, False)
IN_WORD = Edges(True, True)


def of_point(point: int) -> Edges:
    """The edges of one character."""
    return IN_WORD if unicodedata.category(chr(point)) in WORD_CATEGORIES else UNKNOWN


def of_ranges(ranges: Ranges) -> Edges:
    """The edges of one character out of ranges; only ASCII ranges can be certain."""
    is_word = all(any(low >= first and high <= last for first, last in ASCII_WORD) for low, high in ranges)
    return Edges(is_word, is_word)


def of_group(atoms: Sequence[str], edges: Sequence[Edges]) -> Edges:
    """The edges of a group, from its atoms and their edges."""
    breaks = [-1, *(index for index, atom in enumerate(atoms) if atom == ALTERNATIVE), len(atoms)]
    spans = [(start + 1, stop - 1) for start, stop in pairwise(breaks)]
    return Edges(
        begins=all(first <= last and edges[first].begins for first, last in spans),
        ends=all(first <= last and edges[last].ends for first, last in spans),
    )


def without_boundaries(atoms: Sequence[str], edges: Sequence[Edges], boundaries: int) -> list[str] | None:
    """The atoms of a pattern rewritten without its `boundaries` word boundaries; None if that is not possible."""
    if ALTERNATIVE in atoms:
        return None
    rewritten = list(atoms)
    replaced = 0
    first = next((index for index, atom in enumerate(atoms) if not FLAGS.fullmatch(atom)), len(atoms))
    if first + 1 < len(atoms) and atoms[first] == BOUNDARY and edges[first + 1].begins:
        rewritten[first] = BEFORE_WORD
        replaced += 1
    if len(atoms) > 1 and atoms[-1] == BOUNDARY and edges[-2].ends:
        rewritten[-1] = AFTER_WORD
        replaced += 1
    return rewritten if replaced == boundaries else None
