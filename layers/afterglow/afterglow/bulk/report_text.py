"""The part of an import report that says what became of the columns, as lines of text."""

from collections.abc import Iterable

from afterglow.bulk.row_values import CELLS
from afterglow.bulk.types import ImportReport

_NESTED = "nested values, which --flatten turns into keys like a.b"


def column_lines(report: ImportReport) -> list[str]:
    """Lines for the columns that were used, those that were ignored, and the values that were left out."""
    lines = []
    if report.columns:
        lines.append("columns: " + "; ".join(f"{role} from {column}" for role, column in report.columns.items()))
    if report.ignored:
        lines.append("ignored: " + "; ".join(f"{name!r} ({reason})" for name, reason in report.ignored.items()))
    cells = {key.removeprefix(CELLS): count for key, count in report.left_out.items() if key.startswith(CELLS)}
    nested = {repr(key): count for key, count in report.left_out.items() if not key.startswith(CELLS)}
    if nested:
        lines.append(f"left out: {_counted(nested.items())} ({_NESTED})")
    if cells:
        lines.append(f"values taken as empty: {_counted(cells.items())}")
    return lines


def _counted(counts: Iterable[tuple[str, int]]) -> str:
    return "; ".join(f"{what} in {count} rows" for what, count in counts)
