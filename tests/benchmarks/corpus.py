"""The records and queries of a run."""

import gzip
import json
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FALLBACK_ROWS = 60_000
PERTURBATION = 0.35
"""Length of the random step from a sample record to its copies, whose embeddings have unit length."""


@dataclass(frozen=True)
class Corpus:
    """n records and m queries of dimension d; `embeddings` (n, d) and `queries` (m, d) are float32."""

    name: str
    ids: list[str]
    documents: list[str]
    metadatas: list[dict[str, Any]]
    embeddings: NDArray[np.float32]
    queries: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """id → row."""
        return {record_id: row for row, record_id in enumerate(self.ids)}

    def column(self, key: str) -> NDArray[Any]:
        """One metadata key as an array (n,); missing values are None."""
        return np.array([metadata.get(key) for metadata in self.metadatas])

    def sections_near(self, rows: int, number: int) -> list[str]:
        """The `number` sections whose sizes are nearest to `rows`."""
        names, sizes = np.unique(self.column("section"), return_counts=True)
        order = np.argsort(np.abs(sizes - rows), kind="stable")
        return [str(names[index]) for index in order[:number]]


def _read(folder: Path, name: str) -> Corpus:
    with gzip.open(folder / "packages.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    embeddings = np.load(folder / "embeddings.npy").astype(np.float32)
    queries = np.load(folder / "queries.npy").astype(np.float32)
    if len(records) != len(embeddings):
        raise SystemExit(f"{folder}: {len(records)} records but {len(embeddings)} embeddings")
    return Corpus(
        name,
        [record["id"] for record in records],
        [record["document"] for record in records],
        [record["metadata"] for record in records],
        embeddings,
        queries,
    )


def _subset(corpus: Corpus, rows: int) -> Corpus:
    rows_taken = np.linspace(0, len(corpus) - 1, rows).astype(np.int64)
    return Corpus(
        corpus.name,
        [corpus.ids[row] for row in rows_taken],
        [corpus.documents[row] for row in rows_taken],
        [corpus.metadatas[row] for row in rows_taken],
        corpus.embeddings[rows_taken],
        corpus.queries,
    )


def _perturb(vectors: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    step = random.standard_normal(vectors.shape, dtype=np.float32)
    step *= PERTURBATION / np.linalg.norm(step, axis=1, keepdims=True)
    perturbed = vectors + step
    perturbed /= np.linalg.norm(perturbed, axis=1, keepdims=True)
    return perturbed.astype(np.float32)


def _tile(sample: Corpus, rows: int) -> Corpus:
    """`rows` records: the sample, then perturbed copies of it; 1,000 queries in the same way. Deterministic."""
    random = np.random.default_rng(20_000)
    source = np.arange(rows) % len(sample)
    copy = np.arange(rows) // len(sample)
    embeddings = sample.embeddings[source].copy()
    copies = copy > 0
    embeddings[copies] = _perturb(embeddings[copies], random)
    queries = _perturb(sample.embeddings[random.integers(0, len(sample), 1_000)], random)
    metadatas = [
        {**sample.metadatas[row], "size": int(sample.metadatas[row]["size"] * (1 + number / 7))}
        for row, number in zip(source, copy, strict=True)
    ]
    return Corpus(
        f"{sample.name}, tiled and perturbed",
        [f"{sample.ids[row]}~{number}" for row, number in zip(source, copy, strict=True)],
        [f"{sample.documents[row]} (copy {number})" for row, number in zip(source, copy, strict=True)],
        metadatas,
        embeddings,
        queries,
    )


def load(folder: Path | None, rows: int | None) -> Corpus:
    """The corpus in `folder`, thinned evenly to `rows`; without a folder the shipped sample, tiled to `rows`."""
    if folder is not None:
        corpus = _read(folder, folder.resolve().name)
        return corpus if rows is None or rows >= len(corpus) else _subset(corpus, rows)
    with resources.as_file(resources.files("afterglow.cli") / "sample") as sample:
        return _tile(_read(sample, "the shipped sample of Debian packages"), rows or FALLBACK_ROWS)
