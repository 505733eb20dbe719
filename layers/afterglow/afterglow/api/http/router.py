"""Finds what serves a path: the first of the routes that matches, of which few are looked at.

A route is a path of parts, as in `/collections/{name}/count`; a parameter in braces stands for one part, which is not
empty. Only a route with as many parts as the path, and with its last one, can match.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

_PARAMETER = re.compile(r"\{(\w+)\}")


class Router(Generic[T]):
    """Routes, in order, and what serves each."""

    def __init__(self, routes: Iterable[tuple[str, T]]) -> None:
        routes = list(routes)
        lasts: dict[int, dict[str, None]] = {}
        for path, _ in routes:
            lasts.setdefault(path.count("/"), {})[_last(path)] = None
        self._candidates = {
            (count, last): [
                (_pattern(path), served)
                for path, served in routes
                if path.count("/") == count and (_last(path) == last or _PARAMETER.fullmatch(_last(path)))
            ]
            for count, names in lasts.items()
            for last in ("", *names)
        }

    def find(self, path: str) -> tuple[T, dict[str, str]] | None:
        """What serves the path, and its parameters; None if no route matches."""
        count = path.count("/")
        candidates: Sequence[tuple[re.Pattern[str], T]] | None = self._candidates.get((count, _last(path)))
        if candidates is None:
            candidates = self._candidates.get((count, ""), ())
        for pattern, served in candidates:
            match = pattern.fullmatch(path)
            if match is not None:
                return served, match.groupdict()
        return None


def _last(path: str) -> str:
    return path[path.rfind("/") + 1 :]


def _pattern(path: str) -> re.Pattern[str]:
    literals = _PARAMETER.split(path)
    parts = [f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(literals)]
    return re.compile("".join(parts))
