"""Progress bars on standard error, shown only if it is a terminal.

A module apart from `console`, as every command imports that one and rich is slow to import.
"""

from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from afterglow.bulk.import_layout import RangeProgress
from afterglow.bulk.types import Compression, FileFormat, Plan


class _RateColumn(ProgressColumn):
    """Units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} {self._unit}/s", style="progress.data.speed")


def progress_bar(unit: str) -> Progress:
    """A bar that counts `unit` (a plural, such as "records"), with the remaining time."""
    return _progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _RateColumn(unit), TimeRemainingColumn()
    )


def read_bar() -> Progress:
    """A bar that counts the bytes read, for work of unknown size."""
    return _progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    )


def _progress(*columns: ProgressColumn) -> Progress:
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


class ImportProgress:
    """The progress bar of one file's import; a `bulk.import_file.ProgressListener`.

    `rows` counts the rows imported by this run. `check` is called at each step and may raise.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self.rows = 0
        self._earlier_rows = 0
        self._ranges: dict[int, RangeProgress] = {}
        self._plan: Plan | None = None
        self._progress = _progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s, {task.fields[rejected]:,} rejected"),
            TimeRemainingColumn(),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "ImportProgress":
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def on_plan(self, plan: Plan, progress: list[RangeProgress]) -> None:
        """Starts the bar, where earlier runs of this import stopped."""
        self._plan = plan
        self._ranges = {file_range.number: file_range for file_range in progress}
        self._earlier_rows = sum(file_range.rows for file_range in progress)
        # The decompressed size of a compressed file is unknown.
        total = plan.size if plan.compression is Compression.NONE else None
        self._task = self._progress.add_task(plan.name, total=total, rows=0, rate=0.0, rejected=0)

    def on_progress(self, progress: RangeProgress) -> None:
        """Updates the bar after a batch of one range."""
        self._check()
        self._ranges[progress.number] = progress
        ranges = self._ranges.values()
        self.rows = sum(file_range.rows for file_range in ranges) - self._earlier_rows
        plan = self._plan
        assert plan is not None
        assert self._task is not None
        task = self._progress.tasks[0]
        self._progress.update(
            self._task,
            completed=sum(_bytes_done(plan, file_range) for file_range in ranges),
            rows=self._earlier_rows + self.rows,
            rate=self.rows / task.elapsed if task.elapsed else 0.0,
            rejected=sum(file_range.rejected for file_range in ranges),
        )


def _bytes_done(plan: Plan, progress: RangeProgress) -> float:
    """How many bytes of the file a range has completed; positions in Parquet are rows, so there it is an estimate.

    The size of a database's collection is its number of rows, and so are its positions.
    """
    file_range = plan.ranges[progress.number]
    if plan.kind is FileFormat.PARQUET:
        return plan.size * (progress.position - file_range.start) / max(plan.ranges[-1].end, 1)
    return progress.position - file_range.start
