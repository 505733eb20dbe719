"""How much of its work a step has done: a share from 0 to 1, which it reports to its caller again and again."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

OnShare = Callable[[float], None]
"""Receives the share of a step's work that is done, 0 to 1, ascending."""


def ignore(share: float) -> None:
    """For steps whose progress nobody asks for."""
    del share


def part(on_share: OnShare, first: float, last: float) -> OnShare:
    """What a step reports that is the part from `first` to `last` of a larger one."""
    return lambda share: on_share(first + (last - first) * share)


class HasRows(Protocol):
    """A part of a step's result, with the rows that it is about, (n,)."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """The rows."""


_Part = TypeVar("_Part", bound=HasRows)


def counted(parts: Iterable[_Part], count: int, on_share: OnShare) -> Iterator[_Part]:
    """The parts of a pass over `count` rows; reports the share of the rows in those that the caller is done with."""
    done = 0
    for current in parts:
        yield current
        done += len(current.rows)
        on_share(done / count)
