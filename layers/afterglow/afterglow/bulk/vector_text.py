"""Texts of vectors other than JSON and base64, as programs print them into a field.

Such as `[0.1 0.2]` of numpy, `array([0.1, 0.2], dtype=float32)` and `[np.float32(0.1), …]` of Python's `repr`,
`(0.1, 0.2)` of a tuple, `{0.1,0.2}` of PostgreSQL's arrays, `0.1,0.2` and `0.1 0.2` of a join.
"""

import re

_CALL = re.compile(r"\s*\w[\w.]*\((.*)\)\s*", re.DOTALL)
_ARGUMENTS = re.compile(r",\s*(?:dtype|device|grad_fn|requires_grad)=.*", re.DOTALL)
_SCALAR = re.compile(r"\b(?:np|numpy)\.\w+\(([^()]*)\)")
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_SEPARATORS = re.compile(r"\s*[,;]\s*|\s+")
_ELLIPSES = ("...", "…")


def is_abbreviated(text: str) -> bool:
    """Whether a program left out numbers as it printed the text."""
    return any(ellipsis in text for ellipsis in _ELLIPSES)


def parse_numbers(text: str) -> list[float] | None:
    """The numbers of a text, None if it is no list of numbers; a single number needs brackets."""
    inner = _SCALAR.sub(r"\1", text).strip()
    call = _CALL.fullmatch(inner)
    if call is not None:
        inner = _ARGUMENTS.sub("", call[1]).strip()
    is_enclosed = len(inner) >= 2 and _BRACKETS.get(inner[0]) == inner[-1]
    items = _SEPARATORS.split((inner[1:-1] if is_enclosed else inner).strip().rstrip(",").rstrip())
    if len(items) < 2 and not is_enclosed:
        return None
    try:
        return [float(item) for item in items]
    except ValueError:
        return None
