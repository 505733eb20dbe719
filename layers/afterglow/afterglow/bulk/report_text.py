"""The part of an import report that says what became of the columns, as lines of text."""

from afterglow.bulk.types import ImportReport

_NESTED = "nested values, which --flatten turns into keys like a.b"


def column_lines(report: ImportReport) -> list[str]:
    """Lines for the columns that were used, those that were ignored, and the values that were left out."""
    lines = []
    if report.columns:
        lines.append("columns: " + "; ".join(f"{role} from {column}" for role, column in report.columns.items()))
    if report.ignored:
        lines.append("ignored: " + "; ".join(f"{name!r} ({reason})" for name, reason in report.ignored.items()))
    if report.left_out:
        counts = "; ".join(f"{key!r} in {count} rows" for key, count in report.left_out.items())
        lines.append(f"left out: {counts} ({_NESTED})")
    return lines
