"""Reports the progress of a compaction to the processes of the same data directory (`storage.builds`).

What counts is the rows without an index that get one. A compaction that has none, as it joins indexes, reports nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from afterglow.jobs.compaction_policy import Compaction
from afterglow.jobs.segment_limits import IndexKind
from afterglow.segment import progress
from afterglow.segment.manifest import live_rows
from afterglow.segment.progress import OnShare
from afterglow.storage.builds import Build, Builds
from afterglow.storage.ports import Stores

_REPORT_SECONDS = 0.25


@contextmanager
def reported(stores: Stores, collection_id: UUID, compaction: Compaction) -> Iterator[OnShare]:
    """Report the shares that are passed on, until the compaction is committed or has failed."""
    unindexed = [segment for segment in compaction.inputs if not segment.is_indexed]
    builds = stores.builds
    if builds is None or not unindexed or compaction.index is IndexKind.NONE:
        yield progress.ignore
        return
    rows = live_rows(unindexed)
    try:
        yield _reporter(stores, builds, Build(str(collection_id), unindexed[0].id, rows, 0.0))
    finally:
        builds.clear()


def _reporter(stores: Stores, builds: Builds, build: Build) -> OnShare:
    """Reports a share if it is larger than those before, and some time after the last one."""
    next_at = stores.system.monotonic()

    def report(share: float) -> None:
        nonlocal build, next_at
        now = stores.system.monotonic()
        if share > build.share and now >= next_at:
            build, next_at = replace(build, share=share), now + _REPORT_SECONDS
            builds.report(build)

    return report
