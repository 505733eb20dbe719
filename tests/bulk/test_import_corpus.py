"""A whole corpus in every format: the same contents from each.

AFTERGLOW_BENCH_CORPUS names a folder with another corpus, as for the bench; without it the shipped sample is tiled.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from afterglow.settings import Settings
from tests.benchmarks import corpus as corpora
from tests.benchmarks import imports
from tests.bulk.files import import_fixture

ROWS = 6_000


@pytest.mark.slow
def test_every_format(tmp_path: Path) -> None:
    folder = os.environ.get("AFTERGLOW_BENCH_CORPUS")
    corpus = corpora.load(Path(folder) if folder else None, None if folder else ROWS)
    expected_records = {
        name: (vector.tobytes(), document, metadata)
        for name, vector, document, metadata in zip(
            corpus.ids, corpus.embeddings, corpus.documents, corpus.metadatas, strict=True
        )
    }
    for name, files in imports.write(corpus, tmp_path).items():
        with import_fixture(replace(Settings(), import_range_bytes=4 * 1024 * 1024)) as at:
            (path,) = [item for item in files.iterdir() if item.suffix != ".npy"]
            report = at.run(path)
            assert (report.state, report.reason) == ("done", None), name
            assert (report.rows, report.rejected) == (len(corpus), 0), name
            assert at.contents() == expected_records, name
