"""Working on the ranges of a plan (protocol: `afterglow.bulk`)."""

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
"""Seconds in which a batch is tried again while the store, or the indexer, does not keep up."""
_LONGEST_PAUSE = 10.0


class Outcome(Enum):
    """How the work on a range ended."""

    DONE = auto()
    """Nothing is left of it; perhaps the import is at its end."""
    UNFINISHED = auto()
    """Time was over."""


@dataclass(frozen=True, slots=True)
class ImportContext:
    """Where an import happens."""

    sink: Sink
    store: ImportStore
    settings: Settings
    system: System


ShouldContinue = Callable[[], bool]
OnProgress = Callable[[RangeProgress], None]


def ignore_progress(progress: RangeProgress) -> None:
    """For those who do not want to know."""
    del progress


def no_time_limit() -> bool:
    """For those with time."""
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
    """Import one range from where it is, as long as it `goes_on`; `told` of each step.

    What is wrong with the file, or the collection, stops the import and raises nothing. Raises Unavailable, Busy,
    StorageFull, and what else a later attempt may do without.
    """
    while True:
        try:
            return _work_on(context, plan, source, number, goes_on=should_continue, told=on_progress)
        except RangeConflict:
            continue  # what the other did stays done
        except (ImportRejected, NotFound, InvalidArgument, TooLarge) as error:
            context.store.fail(plan, error.message)
            return Outcome.DONE


def _work_on(
    site: ImportContext, plan: Plan, source: Source, number: int, *, goes_on: ShouldContinue, told: OnProgress
) -> Outcome:
    ledger = site.store
    progress = ledger.range_progress(plan, number)
    if progress is None or progress.done or ledger.failure(plan) is not None:
        return Outcome.DONE
    part = plan.ranges[number]
    for piece in _read_chunks(site, plan, source, progress):
        _require_unchanged(plan, source)
        if piece.rejected:
            ledger.add_rejected(plan, number, progress.position, piece.rejected)
        moved = replace(
            progress,
            position=piece.end,
            lines=piece.lines,
            rows=progress.rows + (0 if piece.batch is None else len(piece.batch.ids)),
            rejected=progress.rejected + len(piece.rejected),
            done=0 <= part.end <= piece.end,
        )
        noted = _commit_chunk(site, plan, piece, moved, goes_on)
        if noted is None:
            return Outcome.UNFINISHED
        progress = noted
        told(progress)
        if piece.rejected:
            _limit_rejected(site, plan)
        if progress.done:
            return Outcome.DONE
        if ledger.failure(plan) is not None:
            return Outcome.DONE
        if not goes_on():
            return Outcome.UNFINISHED
    _require_unchanged(plan, source)
    progress = replace(progress, done=True)
    ledger.advance(plan, progress)
    progress = replace(progress, version=progress.version + 1)
    ledger.publish_progress(plan, progress)
    told(progress)
    return Outcome.DONE


def _commit_chunk(
    site: ImportContext, plan: Plan, piece: RowChunk, moved: RangeProgress, goes_on: ShouldContinue
) -> RangeProgress | None:
    """Append the piece's batch and move the range on; how far it is then, None where time was over meanwhile."""
    end, pause = site.system.now() + _RETRY_TIMEOUT, 0.1
    while True:
        try:
            if piece.batch is None:
                site.store.advance(plan, moved)
            else:
                site.sink.write(plan, piece.batch, site.store.progress_write(plan, moved))
            break
        except (Busy, Unavailable) as error:
            if site.system.now() > end:
                raise
            if isinstance(error, Busy) and not goes_on():
                return None
            site.system.sleep(max(error.retry_after if isinstance(error, Busy) else 0.0, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)
    moved = replace(moved, version=moved.version + 1)
    site.store.publish_progress(plan, moved)
    return moved


def _read_chunks(site: ImportContext, plan: Plan, source: Source, progress: RangeProgress) -> Iterator[RowChunk]:
    part, settings = plan.ranges[progress.number], site.settings
    if plan.kind is FileFormat.PARQUET:
        return parquet.read_chunks(source, plan, part, progress.position, settings)
    if plan.kind is FileFormat.CSV:
        return csv.read_chunks(source, plan, progress.position, progress.lines, settings)
    vectors = None
    if plan.vectors is not None:
        matrix = source.sibling(plan.vectors.rpartition("/")[2])
        if matrix is None:
            raise ImportRejected(f"{plan.vectors} is gone")
        vectors = Vectors(matrix)
    return jsonl.read_chunks(
        source, vectors, plan, part, position=progress.position, lines_read=progress.lines, settings=settings
    )


def _require_unchanged(plan: Plan, source: Source) -> None:
    now = source.reload()
    if now is None or now.version != plan.version:
        raise ImportRejected(f"{plan.name} was {'removed' if now is None else 'replaced'} while it was imported")


def _limit_rejected(site: ImportContext, plan: Plan) -> None:
    rejected = sum(each.rejected for each in site.store.progress(plan))
    if rejected > site.settings.import_max_rejected_rows:
        raise ImportRejected(
            f"{rejected} rows were rejected: AFTERGLOW_IMPORT_MAX_REJECTED_ROWS is {site.settings.import_max_rejected_rows}"
        )
