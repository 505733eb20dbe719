"""Imports one range of a plan (protocol: `afterglow.bulk`)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from afterglow.bulk.formats import csv, jsonl, parquet
from afterglow.bulk.formats.npy import Vectors
from afterglow.bulk.import_store import ImportStore, RangeProgress
from afterglow.bulk.row_chunks import RowChunk
from afterglow.bulk.sink import Sink
from afterglow.bulk.sources import Source
from afterglow.bulk.types import FileFormat, ImportRejected, Plan, RangeConflict
from afterglow.errors import Busy, InvalidArgument, NotFound, TooLarge, Unavailable
from afterglow.settings import Settings, System

_RETRY_TIMEOUT = 3_600
"""Seconds of retrying one batch while the store, or the indexer, does not keep up."""
_LONGEST_PAUSE = 10.0


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
    end = plan.ranges[number].end
    for chunk in _read_chunks(context, plan, source, progress):
        _require_unchanged(plan, source)
        if chunk.rejected:
            store.add_rejected(plan, number, progress.position, chunk.rejected)
        advanced = replace(
            progress,
            position=chunk.end,
            lines=chunk.lines,
            rows=progress.rows + (0 if chunk.batch is None else len(chunk.batch.ids)),
            rejected=progress.rejected + len(chunk.rejected),
            done=0 <= end <= chunk.end,
        )
        committed = _commit_chunk(context, plan, chunk, advanced, should_continue)
        if committed is None:
            return Outcome.UNFINISHED
        progress = committed
        on_progress(progress)
        if chunk.rejected:
            _limit_rejected(context, plan)
        if progress.done:
            return Outcome.DONE
        if store.failure(plan) is not None:
            return Outcome.DONE
        if not should_continue():
            return Outcome.UNFINISHED
    _require_unchanged(plan, source)
    progress = replace(progress, done=True)
    store.advance(plan, progress)
    progress = replace(progress, version=progress.version + 1)
    store.publish_progress(plan, progress)
    on_progress(progress)
    return Outcome.DONE


def _commit_chunk(
    context: ImportContext, plan: Plan, chunk: RowChunk, advanced: RangeProgress, should_continue: ShouldContinue
) -> RangeProgress | None:
    """Append the chunk's batch and advance the range; returns the progress, None if time ran out meanwhile."""
    end, pause = context.system.now() + _RETRY_TIMEOUT, 0.1
    while True:
        try:
            if chunk.batch is None:
                context.store.advance(plan, advanced)
            else:
                context.sink.write(plan, chunk.batch, context.store.progress_write(plan, advanced))
            break
        except (Busy, Unavailable) as error:
            if context.system.now() > end:
                raise
            if isinstance(error, Busy) and not should_continue():
                return None
            context.system.sleep(max(error.retry_after if isinstance(error, Busy) else 0.0, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)
    advanced = replace(advanced, version=advanced.version + 1)
    context.store.publish_progress(plan, advanced)
    return advanced


def _read_chunks(context: ImportContext, plan: Plan, source: Source, progress: RangeProgress) -> Iterator[RowChunk]:
    file_range, settings = plan.ranges[progress.number], context.settings
    if plan.kind is FileFormat.PARQUET:
        return parquet.read_chunks(source, plan, file_range, progress.position, settings)
    if plan.kind is FileFormat.CSV:
        return csv.read_chunks(source, plan, progress.position, progress.lines, settings)
    vectors = None
    if plan.vectors is not None:
        matrix = source.sibling(plan.vectors.rpartition("/")[2])
        if matrix is None:
            raise ImportRejected(f"{plan.vectors} is gone")
        vectors = Vectors(matrix)
    return jsonl.read_chunks(
        source, vectors, plan, file_range, position=progress.position, lines_read=progress.lines, settings=settings
    )


def _require_unchanged(plan: Plan, source: Source) -> None:
    now = source.reload()
    if now is None or now.version != plan.version:
        raise ImportRejected(f"{plan.name} was {'removed' if now is None else 'replaced'} while it was imported")


def _limit_rejected(context: ImportContext, plan: Plan) -> None:
    rejected = sum(progress.rejected for progress in context.store.progress(plan))
    limit = context.settings.import_max_rejected_rows
    if rejected > limit:
        raise ImportRejected(f"{rejected} rows were rejected: AFTERGLOW_IMPORT_MAX_REJECTED_ROWS is {limit}")
