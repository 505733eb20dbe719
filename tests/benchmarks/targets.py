"""The rows of the table and what each must reach: the one place that states the targets."""

from dataclasses import dataclass
from enum import Enum
from statistics import median


class Rule(Enum):
    """How ours and theirs are compared."""

    LESS_IS_FASTER = "theirs ÷ ours, at least"
    MORE_IS_FASTER = "ours ÷ theirs, at least"
    AT_MOST = "ours ÷ theirs, at most"
    OF_BEFORE = "ours after ÷ ours before, at most"
    AT_LEAST = "ours, at least"
    NO_MORE_THAN = "ours, at most"
    OF_NOW = "ours of the past ÷ ours of now, at most"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: `key` names its samples, `phase` what `--only` selects, `bound` is None when nothing is promised."""

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
    Row("query", "query", "query p50, bare", "ms", LESS, 2.5, 0.985),
    Row("stock", "stock", "query p50, stock client", "ms", LESS, None, 0.985),
    Row("threads", "threads", "queries/s, bare, 4 client threads, one process", "/s", MORE, 2.5),
    Row("workers", "workers", "queries/s, bare, 4 client threads, two workers (theirs: one)", "/s", MORE, 4.0),
    Row("equal", "filters", "filter section == games, p50 bare", "ms", LESS, 15.0, 0.995),
    Row("range", "filters", "filter size > 100000, p50 bare", "ms", LESS, 15.0, 0.995),
    Row("and", "filters", "filter $and of section == python, size > 100000, p50 bare", "ms", LESS, 15.0, 0.995),
    Row("contains", "contains", "document $contains, rare to common, p50 bare", "ms", LESS, 5.0),
    Row("import_parquet", "import", "import of Parquet into a directory, up to the log", "rows/s", AT_LEAST, 20_000.0),
    Row("import_npy", "import", "the same of .npy beside JSON Lines", "rows/s", AT_LEAST, 20_000.0),
    Row("import_jsonl", "import", "the same of JSON Lines", "rows/s", AT_LEAST, 20_000.0),
    Row("import_gzip", "import", "the same of JSON Lines, gzip", "rows/s", AT_LEAST, None),
    Row("import_csv", "import", "the same of CSV", "rows/s", AT_LEAST, None),
    Row("import_indexed", "import", "import of Parquet, until fully indexed (theirs: ingest)", "rows/s", MORE, 6.0),
    Row("export", "export", "export as Parquet, beside a server", "rows/s", Rule.AT_LEAST, 30_000.0),
    Row("move", "move", "move of everything from the genuine server into a directory, compared", "rows/s", MORE, None),
    Row("fork", "past", "fork of everything, bare", "ms", Rule.NO_MORE_THAN, 50.0),
    Row("fork_added", "past", "bytes of objects that five forks add", "MB", Rule.NO_MORE_THAN, 0.0),
    Row("past", "past", "query p50 as of half of the load (`?at=`), warm, bare", "ms", Rule.OF_NOW, 2.0),
    Row("update", "update", "one-record update, acknowledged, p50 bare", "ms", LESS, 4.0),
    Row("delete", "delete", "delete where section == …", "ms", LESS, 5.0),
    Row("reopen", "reopen", "start of the process to first answer, after a restart", "ms", LESS, 2.0),
    Row("memory", "memory", "peak memory (PSS of the process tree)", "MB", Rule.AT_MOST, 1.0),
    Row("disk", "disk", "disk, everything folded", "MB", Rule.AT_MOST, 0.8),
    Row("disk_past", "disk", "the same with the past of the load, which goes after 7 days", "MB", Rule.AT_MOST, None),
    Row("shrunk", "shrunk", "disk after deleting 90 % and compaction", "MB", Rule.OF_BEFORE, 0.25),
)
PHASES = tuple(dict.fromkeys(row.phase for row in ROWS))


class Samples:
    """What was measured: figures and recalls by row key and contender name; several rounds give several values."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, list[float]]] = {}
        self.recalls: dict[str, dict[str, list[float]]] = {}

    def add(self, key: str, contender: str, figure: float, recall: float | None = None) -> None:
        """One round's figure, and its recall where there is one."""
        self.figures.setdefault(key, {}).setdefault(contender, []).append(figure)
        if recall is not None:
            self.recalls.setdefault(key, {}).setdefault(contender, []).append(recall)

    def figure(self, key: str, contender: str) -> float | None:
        """Median over the rounds; None when it was not measured."""
        values = self.figures.get(key, {}).get(contender)
        return median(values) if values else None

    def recall(self, key: str, contender: str) -> float | None:
        """Mean recall over the rounds."""
        values = self.recalls.get(key, {}).get(contender)
        return sum(values) / len(values) if values else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table. `reached` is None when nothing is promised or there is nothing to compare."""

    row: Row
    ours: float | None
    theirs: float | None
    our_recall: float | None
    their_recall: float | None
    ratio: float | None
    reached: bool | None


def judge(row: Row, samples: Samples) -> Verdict:
    """Compare one row's samples with its target."""
    ours, theirs = samples.figure(row.key, "ours"), samples.figure(row.key, "theirs")
    our_recall, their_recall = samples.recall(row.key, "ours"), samples.recall(row.key, "theirs")
    bases = {Rule.OF_BEFORE: "disk", Rule.OF_NOW: "now"}
    base = samples.figure(bases[row.rule], "ours") if row.rule in bases else theirs
    ratio: float | None = None
    if ours and base:
        ratio = base / ours if row.rule is Rule.LESS_IS_FASTER else ours / base
    reached: bool | None = None
    if row.rule is Rule.AT_LEAST and ours is not None and row.bound is not None:
        reached = ours >= row.bound
    elif row.rule is Rule.NO_MORE_THAN and ours is not None and row.bound is not None:
        reached = ours <= row.bound
    elif ratio is not None and row.bound is not None:
        faster = row.rule in (Rule.LESS_IS_FASTER, Rule.MORE_IS_FASTER)
        reached = ratio >= row.bound if faster else ratio <= row.bound
        if row.recall is not None and our_recall is not None:
            reached = reached and our_recall >= row.recall
    return Verdict(row, ours, theirs, our_recall, their_recall, ratio, reached)
