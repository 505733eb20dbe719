"""The table a run ends with, for a terminal, as markdown and as JSON."""

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.targets import Rule, Samples, Verdict

HEADINGS = ("figure", "Afterglow", "Chroma", "ratio", "target", "reached?")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Machine, versions and corpus of a run."""

    corpus: str
    rows: int
    versions: str

    def line(self) -> str:
        """One line that names the corpus, the machine and the versions."""
        return (
            f"{self.rows:,} records of {self.corpus}; {os.cpu_count()} × {_processor()}; "
            f"Python {platform.python_version()}; {self.versions}"
        )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _number(value: float | None, unit: str, recall: float | None) -> str:
    if value is None:
        return "–"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    text = f"{value:,.{digits}f} {unit}"
    return text if recall is None else f"{text} (recall {recall:.3f})"


def _target(verdict: Verdict) -> str:
    row = verdict.row
    if row.bound is None:
        return "–"
    if row.rule is Rule.AT_LEAST:
        return f"≥ {row.bound:,.0f} {row.unit}"
    if row.rule is Rule.NO_MORE_THAN:
        return f"≤ {row.bound:,.0f} {row.unit}"
    sign = "≥" if row.rule in (Rule.LESS_IS_FASTER, Rule.MORE_IS_FASTER) else "≤"
    text = f"{sign} {row.bound:g}×"
    if row.rule is Rule.OF_BEFORE:
        text += " of Afterglow before"
    return text if row.recall is None else f"{text}, recall ≥ {row.recall}"


def _cells(verdict: Verdict) -> tuple[str, ...]:
    return (
        verdict.row.title,
        _number(verdict.afterglow, verdict.row.unit, verdict.afterglow_recall),
        _number(verdict.chroma, verdict.row.unit, verdict.chroma_recall),
        "–" if verdict.ratio is None else f"{verdict.ratio:.2f}×",
        _target(verdict),
        {True: "yes", False: "NO", None: "–"}[verdict.reached],
    )


def show(verdicts: list[Verdict], circumstances: Circumstances, console: Console) -> None:
    """Print the table."""
    table = Table(title="Afterglow and Chroma side by side", caption=circumstances.line())
    for index, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if index in (0, 4, 5) else "right")
    for verdict in verdicts:
        style = {True: "green", False: "red", None: ""}[verdict.reached]
        table.add_row(*_cells(verdict), style=style)
    console.print(table)


def markdown(verdicts: list[Verdict], circumstances: Circumstances) -> str:
    """The table in markdown, with the line of circumstances below it."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|--:|--:|--:|---|---|"]
    lines += ["| " + " | ".join(_cells(verdict)) + " |" for verdict in verdicts]
    return "\n".join([*lines, "", circumstances.line(), ""])


def as_json(verdicts: list[Verdict], samples: Samples, circumstances: Circumstances) -> dict[str, Any]:
    """Everything measured, every round of it."""
    return {
        "circumstances": circumstances.line(),
        "rows": [
            {
                "key": verdict.row.key,
                "title": verdict.row.title,
                "unit": verdict.row.unit,
                "rule": verdict.row.rule.value,
                "target": verdict.row.bound,
                "recall_target": verdict.row.recall,
                "afterglow": verdict.afterglow,
                "chroma": verdict.chroma,
                "afterglow_recall": verdict.afterglow_recall,
                "chroma_recall": verdict.chroma_recall,
                "ratio": verdict.ratio,
                "reached": verdict.reached,
                "rounds": samples.figures.get(verdict.row.key, {}),
            }
            for verdict in verdicts
        ],
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write the JSON report."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
