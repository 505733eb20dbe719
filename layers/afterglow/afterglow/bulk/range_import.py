"""Imports one range of a plan (protocol: `afterglow.bulk`)."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from afterglow.bulk.formats.registry import FORMATS
from afterglow.bulk.import_layout import RangeProgress
from afterglow.bulk.import_store import ImportStore
from afterglow.bulk.row_chunks import RowChunk
from afterglow.bulk.sink import Sink
from afterglow.bulk.sources import Source, require_unchanged
from afterglow.bulk.types import ImportRejected, Plan, RangeConflict
from afterglow.errors import Busy, InvalidArgument, NotFound, TooLarge, Unavailable
from afterglow.settings import Settings, System

_RETRY_TIMEOUT = 3_600
"""Seconds of retrying one batch while the store, the indexer or the embedding function does not keep up."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_MAX_LEFT_OUT_KEYS = 50

_log = logging.getLogger(__name__)


class Outcome(Enum):
    """The result of the work on a range."""

    DONE = auto()
    """Nothing is left of the range; perhaps the import is finished."""
    UNFINISHED = auto()
    """Time ran out."""


@dataclass(frozen=True, slots=True)
class ImportContext:
    """What an import works with."""

    sink: Sink
    store: ImportStore
    settings: Settings
    system: System


ShouldContinue = Callable[[], bool]
OnProgress = Callable[[RangeProgress], None]


def ignore_progress(progress: RangeProgress) -> None:
    """The callback without an effect."""
    del progress


def no_time_limit() -> bool:
    """For callers without a time limit."""
    return True


def import_range(
    context: ImportContext,
    plan: Plan,
    source: Source,
    number: int,
    *,
    should_continue: ShouldContinue = no_time_limit,
    on_progress: OnProgress = ignore_progress,
) -> Outcome:
    """Import one range from its progress on, while `should_continue`; `on_progress` gets each step.

    An error of the file or the collection fails the import and is not raised. Raises Unavailable, Busy, StorageFull,
    and other errors that a later attempt may not meet.
    """
    while True:
        try:
            return _import_range(
                context, plan, source, number, should_continue=should_continue, on_progress=on_progress
            )
        except RangeConflict:
            continue  # the other worker's batch is durable
        except (ImportRejected, NotFound, InvalidArgument, TooLarge) as error:
            context.store.fail(plan, error.message)
            return Outcome.DONE


def _import_range(
    context: ImportContext,
    plan: Plan,
    source: Source,
    number: int,
    *,
    should_continue: ShouldContinue,
    on_progress: OnProgress,
) -> Outcome:
    store = context.store
    progress = store.range_progress(plan, number)
    if progress is None or progress.done or store.failure(plan) is not None:
        return Outcome.DONE
    file_range = plan.ranges[number]
    for chunk in _read_chunks(source, plan, progress, context.settings):
        if chunk.rejected:
            store.add_rejected(plan, number, progress.position, chunk.rejected)
        advanced = replace(
            progress,
            position=chunk.end,
            lines=chunk.lines,
            rows=progress.rows + (0 if chunk.batch is None else len(chunk.batch.ids)),
            rejected=progress.rejected + len(chunk.rejected),
            left_out=_add_counts(progress.left_out, chunk.left_out),
            done=0 <= file_range.end <= chunk.end,
        )
        committed = _commit_chunk(context, plan, chunk, advanced, should_continue)
        if committed is None:
            return Outcome.UNFINISHED
        progress = committed
        on_progress(progress)
        if chunk.rejected:
            store.limit_rejected(plan, context.settings.import_max_rejected_rows)
        if progress.done:
            return Outcome.DONE
        if store.failure(plan) is not None:
            return Outcome.DONE
        if not should_continue():
            return Outcome.UNFINISHED
    progress = replace(progress, done=True)
    store.advance(plan, progress)
    progress = replace(progress, version=progress.version + 1)
    store.publish_progress(plan, progress)
    on_progress(progress)
    return Outcome.DONE


def _read_chunks(source: Source, plan: Plan, progress: RangeProgress, settings: Settings) -> Iterator[RowChunk]:
    """The chunks of a range from its progress on. Raises ImportRejected, also if the file changes before their end."""
    chunks = FORMATS[plan.kind].read_chunks(
        source,
        plan,
        plan.ranges[progress.number],
        position=progress.position,
        lines_read=progress.lines,
        settings=settings,
    )
    for chunk in chunks:
        require_unchanged(source, plan.version)
        yield chunk
    require_unchanged(source, plan.version)


def _add_counts(counted: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    """The sums by key, of at most `_MAX_LEFT_OUT_KEYS` keys: they are stored with each step."""
    if not more:
        return counted
    return dict((Counter(counted) + Counter(more)).most_common(_MAX_LEFT_OUT_KEYS))


def _commit_chunk(
    context: ImportContext, plan: Plan, chunk: RowChunk, advanced: RangeProgress, should_continue: ShouldContinue
) -> RangeProgress | None:
    """Append the chunk's batch and advance the range; returns the progress, None if time ran out meanwhile.

    Raises Busy after retries, Unavailable too, and at once if it does not pass by itself.
    """
    end, pause = context.system.monotonic() + _RETRY_TIMEOUT, _FIRST_PAUSE
    while True:
        try:
            if chunk.batch is None:
                context.store.advance(plan, advanced)
            else:
                context.sink.write(plan, chunk.batch, context.store.progress_write(plan, advanced))
            break
        except (Busy, Unavailable) as error:
            if context.system.monotonic() > end or (isinstance(error, Unavailable) and not error.is_passing):
                raise
            if isinstance(error, Busy) and not should_continue():
                return None
            if isinstance(error, Unavailable) and pause == _FIRST_PAUSE:
                _log.warning("the import waits, for up to an hour: %s", error)
            context.system.sleep(max(error.retry_after if isinstance(error, Busy) else 0.0, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)
    advanced = replace(advanced, version=advanced.version + 1)
    context.store.publish_progress(plan, advanced)
    return advanced
