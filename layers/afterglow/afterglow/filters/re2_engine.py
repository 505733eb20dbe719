"""RE2 with our options: no logging, no captures, Unicode."""

from typing import Any


class RegexSyntaxError(Exception):
    """An invalid pattern: the reason, and the span of `length` characters from `start` (length 0: unknown)."""

    def __init__(self, reason: str, start: int = 0, length: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.start = start
        self.length = length


def compile_re2(pattern: str) -> Any:
    """Compile a pattern in RE2's own syntax. Raises RegexSyntaxError if RE2 rejects it."""
    import re2  # imported here: few filters need it, and it would slow down cold starts

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        raise RegexSyntaxError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
