r"""Marked texts: word boundaries in the Unicode sense as characters, for an engine that only knows ASCII's.

Before each character of a text, and at its end, stand two marks and a stopper; the marks say whether a word starts at
this place, ends, or neither::

    é t é ␣      →      S S | é   N N | t   N N | é   E E | ␣   N N |

In a marked pattern an atom that consumes a character first passes the marks and the stopper, so it always meets a
character; `\b` consumes one mark of the right sort. There are two, so that `\b\b` comes out right.
The marks are code points that Unicode keeps for use inside programs. Limit: `(?m)$` directly before a newline that the
pattern then names consumes its stopper, so `\b(?m)a$\n` finds nothing in a text that is not ASCII.
"""

import functools
from typing import Any

from afterglow.filters.engine import program
from afterglow.filters.rust_properties import WORD

STARTS, ENDS, NEITHER, STOPPER = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
PASS = f"[{STARTS}-{NEITHER}]*{STOPPER}"
BOUNDARY = f"[{STARTS}{ENDS}]"


def marked(text: str) -> str:
    """The text with its marks."""
    places = [NEITHER] * (len(text) + 1)
    for word in _words().finditer(text):
        places[word.start()] = STARTS
        places[word.end()] = ENDS
    pieces = (f"{mark}{mark}{STOPPER}{character}" for mark, character in zip(places, (*text, ""), strict=True))
    return "".join(pieces)


@functools.cache
def _words() -> Any:
    return program(f"[{WORD}]+")
