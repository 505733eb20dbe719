"""A corpus of any size for benches: made rows with a document each, and filters that leave 1 % and 40 %.

The rows are those of `cold_rows`: of a real corpus while it has enough, else as hard to search. Queries are rows of the
same kind that the corpus does not hold.
"""

from pathlib import Path

import numpy as np

from tests.benchmarks.cold_rows import RowMaker
from tests.benchmarks.corpus import Corpus

QUERIES = 400
_SECTIONS = 100
_LARGEST = 166_667
"""Sizes are below it: 40 % of them are above 100,000."""


def synthetic(rows: int, base: Path | None) -> Corpus:
    """A corpus of so many rows, the same in each run; without a `base` corpus the rows lie between clusters."""
    made = RowMaker(base).take(rows + QUERIES)
    random = np.random.default_rng(rows)
    sections, sizes = random.integers(0, _SECTIONS, rows).tolist(), random.integers(0, _LARGEST, rows).tolist()
    return Corpus(
        "synthetic rows" if base is None else f"rows made from {base.resolve().name}",
        [f"record {number}" for number in range(rows)],
        [f"Record {number} of a synthetic corpus; " + "a few words more " * 6 for number in range(rows)],
        [
            {"section": f"section {section}" if section else "games", "size": size}
            for section, size in zip(sections, sizes, strict=True)
        ],
        made[:rows],
        made[rows:],
    )
