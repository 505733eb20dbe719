"""How an import goes, on standard error."""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from afterglow.bulk.import_store import RangeProgress as Moved
from afterglow.bulk.types import Compression, FileFormat, Plan


class ImportProgress:
    """Shows how an import goes, on standard error where that is a terminal; counts `rows` taken now.

    `check` is called at each step, and may raise.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self.rows = 0
        self._before = 0
        self._ranges: dict[int, Moved] = {}
        self._plan: Plan | None = None
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s, {task.fields[rejected]:,} rejected"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "ImportProgress":
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def on_plan(self, plan: Plan, progress: list[Moved]) -> None:
        """There is a plan."""
        self._plan = plan
        self._ranges = {each.number: each for each in progress}
        self._before = sum(each.rows for each in progress)
        # Of what is compressed it is not known how much there is.
        total = plan.size if plan.compression is Compression.NONE else None
        self._task = self._progress.add_task(plan.name, total=total, rows=0, rate=0.0, rejected=0)

    def on_progress(self, progress: Moved) -> None:
        """A range was moved on."""
        self._check()
        self._ranges[progress.number] = progress
        ranges = self._ranges.values()
        self.rows = sum(each.rows for each in ranges) - self._before
        assert self._plan is not None
        assert self._task is not None
        task = self._progress.tasks[0]
        self._progress.update(
            self._task,
            completed=sum(_bytes(self._plan, each) for each in ranges),
            rows=self._before + self.rows,
            rate=self.rows / task.elapsed if task.elapsed else 0.0,
            rejected=sum(each.rejected for each in ranges),
        )


def _bytes(plan: Plan, progress: Moved) -> float:
    """How much of the file a range has behind it: of Parquet by rows."""
    part = plan.ranges[progress.number]
    if plan.kind is FileFormat.PARQUET:
        return plan.size * (progress.position - part.start) / max(plan.ranges[-1].end, 1)
    return progress.position - part.start
