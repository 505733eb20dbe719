"""Small files and what an import of one leaves."""

from pathlib import Path
from typing import Any

import orjson
import pyarrow
from pyarrow import parquet

from afterglow.bulk.import_file import NullListener, import_file
from afterglow.bulk.sidecar import GivenOptions
from afterglow.bulk.sources import file_source
from afterglow.bulk.types import ImportReport
from afterglow.collection.types import Include, Selection
from tests.bulk.files import TARGET, ImportFixture

EVERYTHING = frozenset([Include.DOCUMENTS, Include.EMBEDDINGS, Include.METADATAS])
VECTORS = [[1.0, 2.0], [3.0, 4.0]]


def run(at: ImportFixture, path: Path, given: GivenOptions | None = None) -> ImportReport:
    """The report of an import of the file."""
    source = file_source(path)
    assert source is not None
    return import_file(at.context, source, TARGET, given or GivenOptions(), NullListener()).report


def stored(at: ImportFixture) -> dict[str, tuple[list[float], str | None, Any]]:
    """Embedding, document and metadata by id."""
    records = at.engine.get(at.scope(), Selection(), None, 0, EVERYTHING)
    assert records.embeddings is not None
    documents, metadatas = records.documents or [None] * 99, records.metadatas or [None] * 99
    return {
        name: (vector.tolist(), document, metadata and orjson.loads(metadata))
        for name, vector, document, metadata in zip(records.ids, records.embeddings, documents, metadatas, strict=False)
    }


def write_lines(path: Path, *rows: Any) -> Path:
    """Write JSON Lines."""
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def write_parquet(path: Path, **columns: Any) -> Path:
    """Write Parquet."""
    parquet.write_table(pyarrow.table(columns), path)
    return path
