"""The files by which a run tells the process of a peer what to do: `vectors.npy`, `queries.npy`, `task.json`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.embedded_peers.adapters.adapter import Records, Where

EVERY = 2
"""Every second query chooses the breadth of a peer; the others are measured."""


@dataclass(frozen=True, slots=True)
class Task:
    """The records, the queries, float32 (m, d), the exact answers to every second one, and the filters."""

    records: Records
    queries: NDArray[np.float32]
    truths: list[list[str]]
    filters: list[Where]


def store(folder: Path, task: Task) -> None:
    """Write the files."""
    np.save(folder / "vectors.npy", task.records.vectors)
    np.save(folder / "queries.npy", task.queries)
    records = {name: getattr(task.records, name) for name in ("ids", "documents", "sections", "sizes")}
    content: dict[str, Any] = {"records": records, "truths": task.truths, "filters": list(map(asdict, task.filters))}
    (folder / "task.json").write_text(json.dumps(content))


def read(folder: Path) -> Task:
    """The inverse of `store`."""
    content = json.loads((folder / "task.json").read_text())
    records = Records(np.load(folder / "vectors.npy"), **content["records"])
    filters = [Where(**one) for one in content["filters"]]
    return Task(records, np.load(folder / "queries.npy"), content["truths"], filters)
