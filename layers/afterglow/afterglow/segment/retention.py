"""Which older manifests are retained, so that a checkpoint is near every point in time of the retention window.

Every manifest holds a log prefix, so a point in time can be reconstructed from any older manifest and the log entries
after it. Retaining all manifests would retain all their segments. Retained are

* the current one, and those that are not committed yet (their number is larger);
* of the older ones, the last of each bucket; a bucket covers at most a seventh of the window and at most 131,072
  operations, which limits the entries to replay;
* the base manifest of a fork, as nothing precedes it.

The **oldest** checkpoint is the newest of these that is at least as old as the window; older ones are not retained.
Where the past was shortened (`jobs.past`), none from before its start is retained, and the newest one at its start is
the oldest checkpoint, until the window has passed it.

A retained manifest stays retained until the window has passed it: whether a manifest is the last of its bucket no
longer changes once the current one is in another bucket. This also holds if the oldest checkpoint is the current one:
the next manifest is younger by more than a bucket, so the two are never in the same bucket. Time travel starts from one
of `durable_checkpoints`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from afterglow.segment import manifest as manifests
from afterglow.segment.manifest import ManifestRef

_BUCKET_OPS = 131_072
_BUCKETS_PER_WINDOW = 7


@dataclass(frozen=True, slots=True)
class RetainedManifests:
    """`oldest` is the start of the window: earlier manifests are not needed; None: the window covers all history."""

    manifests: tuple[ManifestRef, ...]
    oldest: ManifestRef | None


@dataclass(frozen=True, slots=True)
class RetentionWindow:
    """Time travel reaches back to `since` (Unix ms), over `length` milliseconds."""

    since: int
    length: int

    def bucket(self, manifest: ManifestRef) -> tuple[int, int]:
        """The bucket of a manifest, by operations and by time."""
        return manifest.flushed_ops // _BUCKET_OPS, manifest.log_time // max(self.length // _BUCKETS_PER_WINDOW, 1)


@dataclass(frozen=True, slots=True)
class ManifestListing:
    """All manifests of a collection, with the current one and the base manifest of a fork (None: no fork).

    The past starts at entry `past_start` of the log; 0: it was never shortened.
    """

    all: tuple[ManifestRef, ...]
    current: ManifestRef
    fork_base: ManifestRef | None
    past_start: int = 0


def list_manifests(keys: Iterable[str], current: str, fork_base: str | None, past_start: int = 0) -> ManifestListing:
    """The manifests of the listed keys, and the two others, which the listing need not contain. Raises Corrupt."""
    all_keys = {*keys, current, *([] if fork_base is None else [fork_base])}
    return ManifestListing(
        tuple(map(manifests.parse_key, sorted(all_keys))),
        manifests.parse_key(current),
        None if fork_base is None else manifests.parse_key(fork_base),
        past_start,
    )


def durable_checkpoints(listing: ManifestListing, window: RetentionWindow) -> list[ManifestRef]:
    """The manifests that stay, ascending, from the oldest on that the window needs.

    These are the base of a fork, the last of each past bucket, and the current one. (The base of a fork is stored as
    long as the fork, but not what it names.)
    """
    last: dict[tuple[int, int], ManifestRef] = {}
    start = listing.fork_base
    for manifest in sorted(listing.all, key=lambda manifest: (manifest.number, manifest.key)):
        if manifest.number < listing.current.number and manifest.flushed_seq >= listing.past_start:
            last[window.bucket(manifest)] = manifest
            if manifest.flushed_seq == listing.past_start > 0:
                start = manifest
    last[window.bucket(listing.current)] = listing.current
    if listing.current.flushed_seq == listing.past_start > 0:
        start = None
    durable = {*last.values(), *([] if start is None or start.flushed_seq < listing.past_start else [start])}
    ascending = sorted(durable, key=lambda manifest: manifest.number)
    expired = sum(manifest.log_time <= window.since for manifest in ascending)
    return ascending[max(expired - 1, 0) :]


def select_retained(listing: ManifestListing, window: RetentionWindow | None) -> RetainedManifests:
    """The manifests that must stay for time travel in the window; None: time travel is disabled."""
    uncommitted = [manifest for manifest in listing.all if manifest.number > listing.current.number]
    if window is None:
        return RetainedManifests((listing.current, *uncommitted), listing.current)
    durable = durable_checkpoints(listing, window)
    is_shortened = listing.past_start > 0
    oldest = durable[0] if is_shortened or durable[0].log_time <= window.since else None
    return RetainedManifests((*durable, *uncommitted), oldest)
