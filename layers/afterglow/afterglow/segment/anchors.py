"""Which older manifests are kept, so that a moment of the past is near a checkpoint.

Every manifest holds the log up to some entry, so the past can be had from any that is older, and the entries after it.
Keeping all of them would keep all their segments. Kept are

* the one in force, and those that are not published yet (their number is larger);
* of the others the last of each seventh of the window and of each 131,072 operations, which is how much there is to
  replay at most;
* of those none before the **base**: the newest one that is as old as the window.

What is kept once stays kept until the window has passed it: whether a manifest is the last of its stretch no longer
changes when the one in force is in another. That holds for a base which is in force, too: what is written after it is
later by more than a stretch. Whoever goes back starts from one of `steady`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from afterglow.segment.manifest import Place

_STRETCH_OPS = 131_072
_STRETCHES = 7


@dataclass(frozen=True, slots=True)
class Anchors:
    """`base` is where the window begins: what was before it is of no use; None: the window holds all there was."""

    kept: tuple[Place, ...]
    base: Place | None


@dataclass(frozen=True, slots=True)
class Window:
    """The past is to be had since `begins` (Unix ms), for `length` milliseconds."""

    begins: int
    length: int

    def stretch(self, place: Place) -> tuple[int, int]:
        """Which stretch of operations and of time a manifest is in."""
        return place.folded_ops // _STRETCH_OPS, place.clock // max(self.length // _STRETCHES, 1)


def steady(places: Iterable[Place], in_force: Place, window: Window) -> list[Place]:
    """Those that stay, ascending: the last of each stretch that is over, and the one in force."""
    last: dict[tuple[int, int], Place] = {}
    for each in sorted(places, key=lambda each: (each.number, each.key)):
        if each.number < in_force.number:
            last[window.stretch(each)] = each
    last[window.stretch(in_force)] = in_force
    return sorted(last.values(), key=lambda each: each.number)


def kept(places: Iterable[Place], in_force: Place, window: Window | None) -> Anchors:
    """Which of the manifests must stay, for the past of a window; None: there is none to be had."""
    everything = list(places)
    coming = [each for each in everything if each.number > in_force.number]
    if window is None:
        return Anchors((in_force, *coming), in_force)
    past = steady(everything, in_force, window)
    old = [each for each in past if each.clock <= window.begins]
    base = old[-1] if old else None
    return Anchors((*past[max(len(old) - 1, 0) :], *coming), base)
