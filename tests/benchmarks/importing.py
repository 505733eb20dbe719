"""Measures of imports: the command as a user calls it, for each format; up to the log, and until all is indexed."""

import csv
import gzip
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import orjson

from tests.benchmarks.corpus import Corpus
from tests.benchmarks.targets import Samples
from tests.support.server import script

FORMATS = ("parquet", "npy", "jsonl", "gzip", "csv")
_RATE = re.compile(r"([\d,]+) rows/s")


def write(corpus: Corpus, folder: Path) -> dict[str, Path]:
    """The corpus in each format."""
    found = {name: folder / name for name in FORMATS}
    for each in found.values():
        each.mkdir(parents=True)
    lines = found["jsonl"] / "corpus.jsonl"
    with lines.open("wb") as file:
        file.writelines(_lines(corpus, vectors=True))
    with lines.open("rb") as plain, gzip.open(found["gzip"] / "corpus.jsonl.gz", "wb", compresslevel=1) as packed:
        while piece := plain.read(1 << 22):
            packed.write(piece)
    with (found["npy"] / "corpus.jsonl").open("wb") as file:
        file.writelines(_lines(corpus, vectors=False))
    np.save(found["npy"] / "corpus.npy", corpus.embeddings)
    with duckdb.connect() as connection:
        columns = {"id": "VARCHAR", "embedding": "FLOAT[]", "document": "VARCHAR", "metadata": "JSON"}
        connection.execute(
            f"COPY (SELECT * FROM read_json('{lines}', columns={columns})) TO '{found['parquet'] / 'corpus.parquet'}'"
        )
    with (found["csv"] / "corpus.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["id", "embedding", "document", "metadata"])
        for at, name in enumerate(corpus.ids):
            vector = orjson.dumps(corpus.embeddings[at], option=orjson.OPT_SERIALIZE_NUMPY).decode()
            writer.writerow([name, vector, corpus.documents[at], orjson.dumps(corpus.metadatas[at]).decode()])
    return found


def _lines(corpus: Corpus, *, vectors: bool) -> Iterator[bytes]:
    for at, name in enumerate(corpus.ids):
        row: dict[str, Any] = {"id": name, "document": corpus.documents[at], "metadata": corpus.metadatas[at]}
        if vectors:
            row["embedding"] = corpus.embeddings[at]
        yield orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def measure(name: str, files: Path, corpus: Corpus, data: Path, samples: Samples) -> None:
    """One import into a directory of its own."""
    began = time.perf_counter()
    done = subprocess.run(
        [script("afterglow"), "import", str(files), "--collection", "imported", "--path", str(data)],
        check=True,
        capture_output=True,
        text=True,
    )
    took = time.perf_counter() - began
    rate = _RATE.search(done.stdout)
    assert rate is not None, done.stdout
    samples.add(f"import_{name}", "ours", float(rate[1].replace(",", "")))
    if name == FORMATS[0]:
        samples.add("import_indexed", "ours", len(corpus) / took)
        theirs = samples.figure("ingest", "theirs")
        if theirs is not None:
            samples.add("import_indexed", "theirs", theirs)
