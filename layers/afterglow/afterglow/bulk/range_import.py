"""Working on the ranges of a plan (protocol: `afterglow.bulk`)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from afterglow.bulk.formats import csv, jsonl, parquet
from afterglow.bulk.formats.npy import Vectors
from afterglow.bulk.import_store import Ledger, Progress
from afterglow.bulk.row_chunks import Piece
from afterglow.bulk.sink import Sink
from afterglow.bulk.sources import Source
from afterglow.bulk.types import Kind, Overtaken, Plan, Refused
from afterglow.errors import Busy, InvalidArgument, NotFound, TooLarge, Unavailable
from afterglow.settings import Ambient, Settings

_PATIENCE = 3_600
"""Seconds in which a batch is tried again while the store, or the indexer, does not keep up."""
_LONGEST_PAUSE = 10.0


class Outcome(Enum):
    """How the work on a range ended."""

    DONE = auto()
    """Nothing is left of it; perhaps the import is at its end."""
    UNFINISHED = auto()
    """Time was over."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where an import happens."""

    sink: Sink
    ledger: Ledger
    settings: Settings
    ambient: Ambient


GoesOn = Callable[[], bool]
Told = Callable[[Progress], None]


def nothing_told(progress: Progress) -> None:
    """For those who do not want to know."""
    del progress


def always() -> bool:
    """For those with time."""
    return True


def work_on(
    site: Site, plan: Plan, source: Source, number: int, *, goes_on: GoesOn = always, told: Told = nothing_told
) -> Outcome:
    """Import one range from where it is, as long as it `goes_on`; `told` of each step.

    What is wrong with the file, or the collection, stops the import and raises nothing. Raises Unavailable, Busy,
    StorageFull, and what else a later attempt may do without.
    """
    while True:
        try:
            return _work_on(site, plan, source, number, goes_on=goes_on, told=told)
        except Overtaken:
            continue  # what the other did stays done
        except (Refused, NotFound, InvalidArgument, TooLarge) as error:
            site.ledger.stop(plan, error.message)
            return Outcome.DONE


def _work_on(site: Site, plan: Plan, source: Source, number: int, *, goes_on: GoesOn, told: Told) -> Outcome:
    ledger = site.ledger
    progress = ledger.at(plan, number)
    if progress is None or progress.done or ledger.stopped(plan) is not None:
        return Outcome.DONE
    part = plan.ranges[number]
    for piece in _pieces(site, plan, source, progress):
        _refuse_replaced(plan, source)
        if piece.rejected:
            ledger.reject(plan, number, progress.position, piece.rejected)
        moved = replace(
            progress,
            position=piece.end,
            lines=piece.lines,
            rows=progress.rows + (0 if piece.batch is None else len(piece.batch.ids)),
            rejected=progress.rejected + len(piece.rejected),
            done=0 <= part.end <= piece.end,
        )
        noted = _noted(site, plan, piece, moved, goes_on)
        if noted is None:
            return Outcome.UNFINISHED
        progress = noted
        told(progress)
        if piece.rejected:
            _refuse_too_many(site, plan)
        if progress.done:
            return Outcome.DONE
        if ledger.stopped(plan) is not None:
            return Outcome.DONE
        if not goes_on():
            return Outcome.UNFINISHED
    _refuse_replaced(plan, source)
    progress = replace(progress, done=True)
    ledger.move(plan, progress)
    progress = replace(progress, version=progress.version + 1)
    ledger.tell(plan, progress)
    told(progress)
    return Outcome.DONE


def _noted(site: Site, plan: Plan, piece: Piece, moved: Progress, goes_on: GoesOn) -> Progress | None:
    """Append the piece's batch and move the range on; how far it is then, None where time was over meanwhile."""
    end, pause = site.ambient.now() + _PATIENCE, 0.1
    while True:
        try:
            if piece.batch is None:
                site.ledger.move(plan, moved)
            else:
                site.sink.write(plan, piece.batch, site.ledger.note(plan, moved))
            break
        except (Busy, Unavailable) as error:
            if site.ambient.now() > end:
                raise
            if isinstance(error, Busy) and not goes_on():
                return None
            site.ambient.sleep(max(error.retry_after if isinstance(error, Busy) else 0.0, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)
    moved = replace(moved, version=moved.version + 1)
    site.ledger.tell(plan, moved)
    return moved


def _pieces(site: Site, plan: Plan, source: Source, progress: Progress) -> Iterator[Piece]:
    part, settings = plan.ranges[progress.number], site.settings
    if plan.kind is Kind.PARQUET:
        return parquet.pieces(source, plan, part, progress.position, settings)
    if plan.kind is Kind.CSV:
        return csv.pieces(source, plan, progress.position, progress.lines, settings)
    vectors = None
    if plan.vectors is not None:
        matrix = source.beside(plan.vectors.rpartition("/")[2])
        if matrix is None:
            raise Refused(f"{plan.vectors} is gone")
        vectors = Vectors(matrix)
    return jsonl.pieces(
        source, vectors, plan, part, position=progress.position, looked_at=progress.lines, settings=settings
    )


def _refuse_replaced(plan: Plan, source: Source) -> None:
    now = source.again()
    if now is None or now.version != plan.version:
        raise Refused(f"{plan.name} was {'removed' if now is None else 'replaced'} while it was imported")


def _refuse_too_many(site: Site, plan: Plan) -> None:
    rejected = sum(each.rejected for each in site.ledger.progress(plan))
    if rejected > site.settings.import_rejected:
        raise Refused(f"{rejected} rows were rejected: AFTERGLOW_IMPORT_REJECTED is {site.settings.import_rejected}")
