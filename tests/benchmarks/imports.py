"""Import benchmarks: the command as a user runs it, per format; until acknowledged and until fully indexed."""

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
    folders = {name: folder / name for name in FORMATS}
    for directory in folders.values():
        directory.mkdir(parents=True)
    lines = folders["jsonl"] / "corpus.jsonl"
    with lines.open("wb") as file:
        file.writelines(_lines(corpus, vectors=True))
    with lines.open("rb") as plain, gzip.open(folders["gzip"] / "corpus.jsonl.gz", "wb", compresslevel=1) as compressed:
        while chunk := plain.read(1 << 22):
            compressed.write(chunk)
    with (folders["npy"] / "corpus.jsonl").open("wb") as file:
        file.writelines(_lines(corpus, vectors=False))
    np.save(folders["npy"] / "corpus.npy", corpus.embeddings)
    with duckdb.connect() as connection:
        columns = {"id": "VARCHAR", "embedding": "FLOAT[]", "document": "VARCHAR", "metadata": "JSON"}
        connection.execute(
            f"COPY (SELECT * FROM read_json('{lines}', columns={columns})) TO '{folders['parquet'] / 'corpus.parquet'}'"
        )
    with (folders["csv"] / "corpus.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["id", "embedding", "document", "metadata"])
        for row, name in enumerate(corpus.ids):
            vector = orjson.dumps(corpus.embeddings[row], option=orjson.OPT_SERIALIZE_NUMPY).decode()
            writer.writerow([name, vector, corpus.documents[row], orjson.dumps(corpus.metadatas[row]).decode()])
    return folders


def _lines(corpus: Corpus, *, vectors: bool) -> Iterator[bytes]:
    for row, name in enumerate(corpus.ids):
        record: dict[str, Any] = {"id": name, "document": corpus.documents[row], "metadata": corpus.metadatas[row]}
        if vectors:
            record["embedding"] = corpus.embeddings[row]
        yield orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def measure(name: str, files: Path, corpus: Corpus, data: Path, samples: Samples) -> None:
    """One import into a directory of its own."""
    started = time.perf_counter()
    result = subprocess.run(
        [script("afterglow"), "import", str(files), "--collection", "imported", "--path", str(data)],
        check=True,
        capture_output=True,
        text=True,
    )
    elapsed = time.perf_counter() - started
    rate = _RATE.search(result.stdout)
    assert rate is not None, result.stdout
    samples.add(f"import_{name}", "afterglow", float(rate[1].replace(",", "")))
    if name == FORMATS[0]:
        samples.add("import_indexed", "afterglow", len(corpus) / elapsed)
        ingest_rate = samples.figure("ingest", "chroma")
        if ingest_rate is not None:
            samples.add("import_indexed", "chroma", ingest_rate)
