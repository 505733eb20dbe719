r"""Marked texts: word boundaries in the Unicode sense as characters, for an engine that only knows ASCII's.

Before each character of a text, and at its end, stand two marks and a stopper; the marks say whether a word starts at
this place, ends, or neither::

    é t é ␣      →      S S | é   N N | t   N N | é   E E | ␣   N N |

In a marked pattern an atom that consumes a character first passes the marks and the stopper, so it always meets a
character; `\b` consumes one mark of the right sort. There are two, so that `\b\b` comes out right.
The marks are code points that Unicode keeps for use inside programs.

Limits, in texts that are not ASCII: assertions at one place must come as `^`, then at most two about words, then `$`;
and `(?m)$` consumes its stopper, so a pattern with word boundaries that goes on from `$` to the newline finds none.
"""

import functools
import re

from afterglow.filters.rust_properties import perl_ranges

STARTS, ENDS, NO_BOUNDARY, SEPARATOR = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
SKIP_MARKERS = f"[{STARTS}-{NO_BOUNDARY}]*{SEPARATOR}"
BOUNDARY = f"[{STARTS}{ENDS}]"


def insert_markers(text: str) -> str:
    """The text with its marks."""
    pieces: list[str] = []
    mark, position = NO_BOUNDARY, 0
    for word in _words().finditer(text):
        start, end = word.span()
        if start > position:
            pieces += _markers_before(mark), NO_BOUNDARY_LEAD.join(text[position:start])
        pieces += _markers_before(STARTS), NO_BOUNDARY_LEAD.join(text[start:end])
        mark, position = ENDS, end
    if position < len(text):
        pieces += _markers_before(mark), NO_BOUNDARY_LEAD.join(text[position:])
        mark = NO_BOUNDARY
    return "".join((*pieces, _markers_before(mark)))


def _markers_before(mark: str) -> str:
    return mark + mark + SEPARATOR


NO_BOUNDARY_LEAD = _markers_before(NO_BOUNDARY)


@functools.cache
def _words() -> re.Pattern[str]:
    # Python's own \w is another: it takes ², but not the vowel signs of many scripts.
    ranges = perl_ranges("w", unicode=True)
    return re.compile("[" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) + "]+")
