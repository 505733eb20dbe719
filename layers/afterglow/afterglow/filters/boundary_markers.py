r"""Boundary markers: Unicode word boundaries encoded as characters, for an engine with ASCII boundaries only.

Two markers and a separator are inserted before each character of a string and at its end. The markers encode whether a
word starts at this position (S), ends (E), or neither (N)::

    é t é ␣      →      S S | é   N N | t   N N | é   E E | ␣   N N |

In a pattern for marked strings, an atom that consumes a character first skips the markers and the separator, so it
always meets a character; `\b` consumes one marker S or E. There are two markers so that `\b\b` works.
The markers are noncharacters: code points that Unicode reserves for internal use.

Limits, in strings that are not ASCII: assertions at one position must come as `^`, then at most two word boundaries,
then `$`. And `(?m)$` consumes its separator, so a pattern with word boundaries that continues from `$` to the newline
does not match.
"""

import functools
import re

from afterglow.filters.rust_properties import perl_ranges

STARTS, ENDS, NO_BOUNDARY, SEPARATOR = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
SKIP_MARKERS = f"[{STARTS}-{NO_BOUNDARY}]*{SEPARATOR}"
BOUNDARY = f"[{STARTS}{ENDS}]"


def insert_markers(text: str) -> str:
    """The string with its markers."""
    chunks: list[str] = []
    marker, position = NO_BOUNDARY, 0
    for word in _words().finditer(text):
        start, end = word.span()
        if start > position:
            chunks += _markers_before(marker), NO_BOUNDARY_LEAD.join(text[position:start])
        chunks += _markers_before(STARTS), NO_BOUNDARY_LEAD.join(text[start:end])
        marker, position = ENDS, end
    if position < len(text):
        chunks += _markers_before(marker), NO_BOUNDARY_LEAD.join(text[position:])
        marker = NO_BOUNDARY
    return "".join((*chunks, _markers_before(marker)))


def _markers_before(marker: str) -> str:
    return marker + marker + SEPARATOR


NO_BOUNDARY_LEAD = _markers_before(NO_BOUNDARY)


@functools.cache
def _words() -> re.Pattern[str]:
    # Python's own \w differs: it includes ², but not the vowel signs of many scripts.
    ranges = perl_ranges("w", unicode=True)
    return re.compile("[" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) + "]+")
