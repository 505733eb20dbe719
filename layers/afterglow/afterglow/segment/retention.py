"""Which older manifests are kept, so that a moment of the past is near a checkpoint.

Every manifest holds the log up to some entry, so the past can be had from any that is older, and the entries after it.
Keeping all of them would keep all their segments. Kept are

* the one in force, and those that are not published yet (their number is larger);
* of the others the last of each seventh of the window and of each 131,072 operations, which is how much there is to
  replay at most;
* the one with which a fork begins, as there is nothing before it;
* of those none before the **base**: the newest one that is as old as the window.

What is kept once stays kept until the window has passed it: whether a manifest is the last of its stretch no longer
changes when the one in force is in another. That holds for a base which is in force, too: what is written after it is
later by more than a stretch. Whoever goes back starts from one of `steady`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from afterglow.segment import manifest as manifests
from afterglow.segment.manifest import ManifestRef

_STRETCH_OPS = 131_072
_STRETCHES = 7


@dataclass(frozen=True, slots=True)
class RetainedManifests:
    """`base` is where the window begins: what was before it is of no use; None: the window holds all there was."""

    manifests: tuple[ManifestRef, ...]
    oldest: ManifestRef | None


@dataclass(frozen=True, slots=True)
class RetentionWindow:
    """The past is to be had since `since` (Unix ms), for `length` milliseconds."""

    since: int
    length: int

    def bucket(self, place: ManifestRef) -> tuple[int, int]:
        """Which stretch of operations and of time a manifest is in."""
        return place.flushed_ops // _STRETCH_OPS, place.log_time // max(self.length // _STRETCHES, 1)


@dataclass(frozen=True, slots=True)
class ManifestListing:
    """All manifests of a collection, with the one in force and the one with which a fork begins (None: no fork)."""

    all: tuple[ManifestRef, ...]
    current: ManifestRef
    fork_base: ManifestRef | None


def list_manifests(keys: Iterable[str], in_force: str, begins: str | None) -> ManifestListing:
    """Those of the keys that were listed; the two named besides need not be among them. Raises Corrupt."""
    everything = {*keys, in_force, *([] if begins is None else [begins])}
    return ManifestListing(
        tuple(map(manifests.parse_key, everything)),
        manifests.parse_key(in_force),
        None if begins is None else manifests.parse_key(begins),
    )


def durable_checkpoints(found: ManifestListing, window: RetentionWindow) -> list[ManifestRef]:
    """Those that stay, ascending: the first of a fork, the last of each stretch that is over, and the one in force."""
    last: dict[tuple[int, int], ManifestRef] = {}
    for each in sorted(found.all, key=lambda each: (each.number, each.key)):
        if each.number < found.current.number:
            last[window.bucket(each)] = each
    last[window.bucket(found.current)] = found.current
    staying = {*last.values(), *([] if found.fork_base is None else [found.fork_base])}
    return sorted(staying, key=lambda each: each.number)


def select_retained(found: ManifestListing, window: RetentionWindow | None) -> RetainedManifests:
    """Which of the manifests must stay, for the past of a window; None: there is none to be had."""
    coming = [each for each in found.all if each.number > found.current.number]
    if window is None:
        return RetainedManifests((found.current, *coming), found.current)
    past = durable_checkpoints(found, window)
    old = [each for each in past if each.log_time <= window.since]
    base = old[-1] if old else None
    return RetainedManifests((*past[max(len(old) - 1, 0) :], *coming), base)
