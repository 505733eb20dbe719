"""Regular expressions in Rust's syntax, run in linear time by RE2.

Chroma's server is written in Rust, so its `$regex` is that of the `regex` crate: Unicode throughout, no look-around, no
back-references. RE2 is its ancestor and has the same semantics, with a slightly other syntax (see `rust_syntax`) and
one gap: its word boundaries know ASCII only. So a pattern with word boundaries has a second form, for texts that are
not ASCII; `marks` tells how it works.
"""

import functools
from dataclasses import dataclass
from typing import Any

from afterglow.errors import InvalidArgument
from afterglow.filters import boundary_markers
from afterglow.filters.re2_engine import RegexSyntaxError, compile_re2
from afterglow.filters.rust_syntax import Form, Translation, translate

LONGEST_PATTERN = 16 * 1024


@dataclass(frozen=True, slots=True)
class Regex:
    """A compiled pattern.

    is_anchored: it may tell where a text or a word begins or ends, so texts must be searched one at a time.
    literal: UTF-8 that every match contains; empty where none is obvious.
    is_literal: the pattern is nothing but `literal`.
    plain: the RE2 program, None where it could not say what the pattern says of any text.
    marked: the RE2 program for marked texts, None where the plain one is right for all.
    loose: a pattern that is not anchored and found wherever this one is; None where that says nothing new.
    """

    is_anchored: bool
    literal: bytes
    is_literal: bool
    program: Any
    marked_program: Any = None
    prefilter: "Regex | None" = None

    def search(self, text: memoryview, start: int, stop: int) -> int | None:
        """Where the leftmost match in text[start:stop] (UTF-8) begins, None where there is none.

        Where marks are needed, whether there is a match is all that the number says.
        """
        if self.marked_program is not None:
            alone = bytes(text[start:stop])
            if self.program is None or not alone.isascii():
                return (
                    None
                    if self.marked_program.search(boundary_markers.insert_markers(alone.decode())) is None
                    else start
                )
        match = self.program.search(text, start, stop)
        return None if match is None else int(match.start())


@functools.lru_cache(maxsize=128)
def compile_regex(pattern: str) -> Regex:
    """The pattern, compiled; InvalidArgument with the words of Rust's parser where it is none."""
    if len(pattern) > LONGEST_PATTERN:
        raise InvalidArgument(f"regular expression of {len(pattern)} characters: at most {LONGEST_PATTERN} are allowed")
    try:
        plain = translate(pattern)
        if not (plain.is_anchored or plain.has_boundary):
            return _unanchored(plain)
        loose = _unanchored(translate(pattern, Form.OVERAPPROXIMATE))
        return Regex(
            is_anchored=True,
            literal=b"",
            is_literal=False,
            program=None if plain.has_edge else compile_re2(plain.text),
            marked_program=compile_re2(translate(pattern, Form.MARKED).text) if plain.has_boundary else None,
            prefilter=loose if loose.program.search(b"") is None else None,
        )
    except RegexSyntaxError as fault:
        raise InvalidArgument(_error_message(pattern, fault)) from None


def _unanchored(translation: Translation) -> Regex:
    return Regex(
        is_anchored=False,
        literal=translation.literal.encode(),
        is_literal=translation.is_literal,
        program=compile_re2(translation.text),
    )


def _error_message(pattern: str, fault: RegexSyntaxError) -> str:
    """The fault as Rust's parser shows it (and Chroma's text, spelling included)."""
    lines = [f"Regex syntax errror: regex parse error:\n    {pattern}"]
    if fault.length and "\n" not in pattern:
        lines.append("    " + " " * fault.start + "^" * fault.length)
    return "\n".join((*lines, f"error: {fault.reason}"))
