"""RE2, as we use it: quiet, without groups, Unicode."""

from typing import Any


class RegexSyntaxError(Exception):
    """A pattern that is none: why, and which `length` characters from `start` on are to blame (0: not known)."""

    def __init__(self, reason: str, start: int = 0, length: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.start = start
        self.length = length


def compile_re2(pattern: str) -> Any:
    """The compiled form of a pattern in RE2's own syntax; SyntaxFault where RE2 refuses it."""
    import re2  # here, as only these filters need it and a cold start counts

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        raise RegexSyntaxError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
