"""The rows of the table and their targets."""

from dataclasses import dataclass
from enum import Enum
from statistics import median


class Rule(Enum):
    """How the two figures are compared."""

    LESS_IS_FASTER = "Chroma ÷ Afterglow, at least"
    MORE_IS_FASTER = "Afterglow ÷ Chroma, at least"
    AT_MOST = "Afterglow ÷ Chroma, at most"
    OF_BEFORE = "Afterglow after ÷ before, at most"
    AT_LEAST = "Afterglow, at least"
    NO_MORE_THAN = "Afterglow, at most"
    OF_NOW = "Afterglow as of a past point ÷ now, at most"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: `key` names its samples, `phase` what `--only` selects, `bound` is None without a target."""

    key: str
    phase: str
    title: str
    unit: str
    rule: Rule
    bound: float | None
    recall: float | None = None


LESS, MORE, AT_LEAST = Rule.LESS_IS_FASTER, Rule.MORE_IS_FASTER, Rule.AT_LEAST
ROWS = (
    Row("ingest", "ingest", "ingest, acknowledged (stock client, batches of 1,000)", "rows/s", MORE, 4.0),
    Row("indexed", "ingest", "ingest, until fully indexed", "rows/s", MORE, 2.5),
    Row("query", "query", "query p50, raw HTTP", "ms", LESS, 2.5, 0.985),
    Row("stock", "stock", "query p50, stock client", "ms", LESS, None, 0.985),
    Row("threads", "threads", "queries/s, raw HTTP, 4 client threads, one process", "/s", MORE, 2.5),
    Row("workers", "workers", "queries/s, raw HTTP, 4 client threads, two workers (Chroma: one)", "/s", MORE, 4.0),
    Row("equal", "filters", "filter section == games, p50, raw HTTP", "ms", LESS, 15.0, 0.995),
    Row("range", "filters", "filter size > 100000, p50, raw HTTP", "ms", LESS, 15.0, 0.995),
    Row("and", "filters", "filter $and of section == python, size > 100000, p50, raw HTTP", "ms", LESS, 15.0, 0.995),
    Row("contains", "contains", "document $contains, rare to common, p50, raw HTTP", "ms", LESS, 5.0),
    Row("import_parquet", "import", "import of Parquet into a directory, acknowledged", "rows/s", AT_LEAST, 20_000.0),
    Row("import_npy", "import", "import of .npy with JSON Lines", "rows/s", AT_LEAST, 20_000.0),
    Row("import_jsonl", "import", "import of JSON Lines", "rows/s", AT_LEAST, 20_000.0),
    Row("import_gzip", "import", "import of JSON Lines, gzip", "rows/s", AT_LEAST, None),
    Row("import_csv", "import", "import of CSV", "rows/s", AT_LEAST, None),
    Row("import_indexed", "import", "import of Parquet, until fully indexed (Chroma: ingest)", "rows/s", MORE, 6.0),
    Row("export", "export", "export as Parquet, with a server running", "rows/s", Rule.AT_LEAST, 30_000.0),
    Row(
        "migrate",
        "migrate",
        "migration from a Chroma server into a directory, compared",
        "rows/s",
        MORE,
        None,
    ),
    Row("fork", "time_travel", "fork of the whole collection, raw HTTP", "ms", Rule.NO_MORE_THAN, 50.0),
    Row("fork_added", "time_travel", "bytes of objects added by five forks", "MB", Rule.NO_MORE_THAN, 0.0),
    Row(
        "time_travel",
        "time_travel",
        "query p50 as of half of the load (`?at=`), warm",
        "ms",
        Rule.OF_NOW,
        2.0,
    ),
    Row("update", "update", "one-record update, acknowledged, p50, raw HTTP", "ms", LESS, 4.0),
    Row("delete", "delete", "delete where section == …", "ms", LESS, 5.0),
    Row("reopen", "reopen", "process start to first response, after a restart", "ms", LESS, 2.0),
    Row("memory", "memory", "peak memory (PSS of the process tree)", "MB", Rule.AT_MOST, 1.0),
    Row("disk", "disk", "disk, fully indexed", "MB", Rule.AT_MOST, 0.8),
    Row("disk_history", "disk", "the same with the history of the load (kept 7 days)", "MB", Rule.AT_MOST, None),
    Row("shrunk", "shrunk", "disk after deleting 90 % and compaction", "MB", Rule.OF_BEFORE, 0.25),
)
PHASES = tuple(dict.fromkeys(row.phase for row in ROWS))


class Samples:
    """Measurements: figures and recalls by row key and server name; several rounds give several values."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, list[float]]] = {}
        self.recalls: dict[str, dict[str, list[float]]] = {}

    def add(self, key: str, peer: str, figure: float, recall: float | None = None) -> None:
        """One round's figure, and its recall where there is one."""
        self.figures.setdefault(key, {}).setdefault(peer, []).append(figure)
        if recall is not None:
            self.recalls.setdefault(key, {}).setdefault(peer, []).append(recall)

    def figure(self, key: str, peer: str) -> float | None:
        """Median over the rounds; None when it was not measured."""
        values = self.figures.get(key, {}).get(peer)
        return median(values) if values else None

    def recall(self, key: str, peer: str) -> float | None:
        """Mean recall over the rounds."""
        values = self.recalls.get(key, {}).get(peer)
        return sum(values) / len(values) if values else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table. `reached` is None without a target or there is nothing to compare."""

    row: Row
    afterglow: float | None
    chroma: float | None
    afterglow_recall: float | None
    chroma_recall: float | None
    ratio: float | None
    reached: bool | None


def compare(row: Row, samples: Samples) -> Verdict:
    """Compare one row's samples with its target."""
    afterglow, chroma = samples.figure(row.key, "afterglow"), samples.figure(row.key, "chroma")
    afterglow_recall, chroma_recall = samples.recall(row.key, "afterglow"), samples.recall(row.key, "chroma")
    bases = {Rule.OF_BEFORE: "disk", Rule.OF_NOW: "now"}
    base = samples.figure(bases[row.rule], "afterglow") if row.rule in bases else chroma
    ratio: float | None = None
    if afterglow and base:
        ratio = base / afterglow if row.rule is Rule.LESS_IS_FASTER else afterglow / base
    reached: bool | None = None
    if row.rule is Rule.AT_LEAST and afterglow is not None and row.bound is not None:
        reached = afterglow >= row.bound
    elif row.rule is Rule.NO_MORE_THAN and afterglow is not None and row.bound is not None:
        reached = afterglow <= row.bound
    elif ratio is not None and row.bound is not None:
        faster = row.rule in (Rule.LESS_IS_FASTER, Rule.MORE_IS_FASTER)
        reached = ratio >= row.bound if faster else ratio <= row.bound
        if row.recall is not None and afterglow_recall is not None:
            reached = reached and afterglow_recall >= row.recall
    return Verdict(row, afterglow, chroma, afterglow_recall, chroma_recall, ratio, reached)
