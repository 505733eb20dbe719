"""Regular expressions in Rust's syntax, run in linear time by RE2.

Chroma's server is written in Rust, so its `$regex` has the syntax of the `regex` crate: Unicode throughout, no
look-around, no back-references. RE2 is the crate's ancestor and has the same semantics, with a slightly different
syntax (see `rust_syntax`) and one gap: its word boundaries are ASCII only. So a pattern with word boundaries is
compiled a second time for strings that are not ASCII (see `boundary_markers`).
"""

import functools
from dataclasses import dataclass
from typing import Any

from afterglow.errors import InvalidArgument
from afterglow.filters import boundary_markers
from afterglow.filters.pattern_builder import Form, Translation
from afterglow.filters.re2_engine import RegexSyntaxError, compile_re2
from afterglow.filters.rust_syntax import translate

MAX_PATTERN_LENGTH = 16 * 1024


@dataclass(frozen=True, slots=True)
class Regex:
    """A compiled pattern.

    is_anchored: the pattern depends on where a string or word starts or ends, so strings are searched one at a time.
    literal: UTF-8 bytes that every match contains; empty if none is obvious.
    is_literal: the pattern consists of `literal` alone.
    program: the RE2 program for unmarked strings; None if RE2 cannot express the pattern for them.
    marked_program: the RE2 program for strings with boundary markers; None if `program` is correct for all strings.
    prefilter: an over-approximation without anchors, which matches wherever this pattern does; None if it matches all.
    """

    is_anchored: bool
    literal: bytes
    is_literal: bool
    program: Any
    marked_program: Any = None
    prefilter: "Regex | None" = None

    def search(self, text: memoryview, start: int, stop: int) -> int | None:
        """The start of the leftmost match in text[start:stop] (UTF-8), None without a match.

        With boundary markers, the number only means that there is a match; it is `start`.
        """
        if self.marked_program is not None:
            string = bytes(text[start:stop])
            if self.program is None or not string.isascii():
                return (
                    None
                    if self.marked_program.search(boundary_markers.insert_markers(string.decode())) is None
                    else start
                )
        match = self.program.search(text, start, stop)
        return None if match is None else int(match.start())


@functools.lru_cache(maxsize=128)
def compile_regex(pattern: str) -> Regex:
    """Compile the pattern. Raises InvalidArgument with the message of Rust's parser if it is invalid."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise InvalidArgument(
            f"regular expression of {len(pattern)} characters: at most {MAX_PATTERN_LENGTH} are allowed"
        )
    try:
        translation = translate(pattern)
        if not (translation.is_anchored or translation.has_boundary):
            return _unanchored(translation)
        prefilter = _unanchored(translate(pattern, Form.OVERAPPROXIMATE))
        return Regex(
            is_anchored=True,
            literal=b"",
            is_literal=False,
            program=None if translation.has_edge else compile_re2(translation.text),
            marked_program=compile_re2(translate(pattern, Form.MARKED).text) if translation.has_boundary else None,
            prefilter=prefilter if prefilter.program.search(b"") is None else None,
        )
    except RegexSyntaxError as error:
        raise InvalidArgument(_error_message(pattern, error)) from None


def _unanchored(translation: Translation) -> Regex:
    return Regex(
        is_anchored=False,
        literal=translation.literal.encode(),
        is_literal=translation.is_literal,
        program=compile_re2(translation.text),
    )


def _error_message(pattern: str, error: RegexSyntaxError) -> str:
    """The message of Rust's parser within Chroma's text, whose misspelling is part of the contract."""
    lines = [f"Regex syntax errror: regex parse error:\n    {pattern}"]
    if error.length and "\n" not in pattern:
        lines.append("    " + " " * error.start + "^" * error.length)
    return "\n".join((*lines, f"error: {error.reason}"))
