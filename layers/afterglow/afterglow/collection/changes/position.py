"""How far a reader of changes has come."""

import re
from dataclasses import dataclass

from afterglow.errors import InvalidArgument

_TEXT = re.compile(r"([0-9]{1,18})(?::([0-9]{1,9}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ChangePosition:
    """After entry `seq` of the log; with `records`, after as many records of it, as it is cut into several lines.

    As text `17`, or `17:300`.
    """

    seq: int
    records: int = 0

    def __str__(self) -> str:
        return f"{self.seq}:{self.records}" if self.records else str(self.seq)

    @property
    def last_complete(self) -> int:
        """The last entry of which all records are before the position."""
        return self.seq - 1 if self.records and self.seq else self.seq


def parse(text: str) -> ChangePosition:
    """The position of a text. Raises InvalidArgument."""
    matched = _TEXT.fullmatch(text)
    if matched is None:
        raise InvalidArgument(f"after: {text[:100]!r} is not a position like 17 or 17:300")
    return ChangePosition(int(matched[1]), int(matched[2] or 0))
