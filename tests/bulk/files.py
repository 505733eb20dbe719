"""Records as files of every format, and a directory's stores to import them into."""

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import orjson
from backports import zstd
from numpy.typing import NDArray

from afterglow.bulk.import_file import ImportResult, NullListener, import_file
from afterglow.bulk.import_store import ImportStore
from afterglow.bulk.range_import import ImportContext
from afterglow.bulk.sidecar import GivenOptions, Sidecar
from afterglow.bulk.sink import EngineSink
from afterglow.bulk.sources import file_source
from afterglow.bulk.types import ImportReport, Target
from afterglow.catalog import Catalog
from afterglow.collection import Engine
from afterglow.collection.types import Include, Records, Scope, Selection
from afterglow.errors import NotFound
from afterglow.settings import Settings
from afterglow.storage.ports import Stores
from tests.bulk import workbooks
from tests.support.faulty import Faults
from tests.support.stores import SMALL, quick_folder, stores_at

TARGET = Target("default_tenant", "default_database", "imported")
EVERYTHING = frozenset({Include.EMBEDDINGS, Include.DOCUMENTS, Include.METADATAS, Include.URIS})
TINY = replace(SMALL, import_range_bytes=2_000, max_unflushed_ops=10**6)
"""Many ranges of few rows."""


@dataclass(frozen=True, slots=True)
class Sample:
    """n records; `vectors` is float32 (n, d)."""

    ids: list[str]
    vectors: NDArray[np.float32]
    documents: list[str | None]
    metadatas: list[dict[str, Any]]


def sample(rows: int = 60, dimension: int = 8, seed: int = 7) -> Sample:
    """Records with values that formats treat differently: quotes, line breaks, other scripts, missing values."""
    source = np.random.default_rng(seed)
    texts = ['plain "quoted", text', "two\nlines", "日本語, ünïcode", None]
    return Sample(
        [f"id-{at}" for at in range(rows)],
        source.standard_normal((rows, dimension), dtype=np.float32),
        [None if (text := texts[at % len(texts)]) is None else f"{text} {at}" for at in range(rows)],
        [{"section": f"s{at % 3}", "size": at, "ratio": at + 0.5, "even": at % 2 == 0} for at in range(rows)],
    )


def objects(of: Sample) -> Iterator[dict[str, Any]]:
    """The records as objects of JSON Lines."""
    for name, vector, document, metadata in zip(of.ids, of.vectors, of.documents, of.metadatas, strict=True):
        yield {"id": name, "embedding": vector.tolist(), "document": document, "metadata": metadata}


def lines(of: Sample) -> bytes:
    """JSON Lines."""
    return b"".join(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in objects(of))


def write_jsonl(of: Sample, folder: Path) -> Path:
    return _written(folder / "records.jsonl", lines(of))


def write_gzip(of: Sample, folder: Path) -> Path:
    whole = lines(of)
    # Two members, as appending makes them.
    return _written(folder / "records.jsonl.gz", gzip.compress(whole[:1000]) + gzip.compress(whole[1000:]))


def write_zstd(of: Sample, folder: Path) -> Path:
    whole = lines(of)
    return _written(folder / "records.jsonl.zst", zstd.compress(whole[:1000]) + zstd.compress(whole[1000:]))


def write_parquet(of: Sample, folder: Path, name: str = "records.parquet", groups: int = 10) -> Path:
    """By DuckDB, whose writer another test compares with pyarrow's."""
    path, rows = folder / name, folder / "rows.ndjson"
    rows.write_bytes(
        b"".join(
            orjson.dumps({**item, **item.pop("metadata")}, option=orjson.OPT_APPEND_NEWLINE) for item in objects(of)
        )
    )
    columns = {
        "id": "VARCHAR",
        "embedding": "FLOAT[]",
        "document": "VARCHAR",
        "section": "VARCHAR",
        "size": "BIGINT",
        "ratio": "DOUBLE",
        "even": "BOOLEAN",
    }
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_json('{rows}', columns={columns})) TO '{path}' (ROW_GROUP_SIZE 2048)"
        )
    rows.unlink()
    return path


def write_pyarrow(of: Sample, folder: Path, *, rows_per_group: int = 16, name: str = "records.parquet") -> Path:
    """Small row groups, embeddings of fixed length in float64, metadata as a struct."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(
        {
            "id": of.ids,
            "vector": pyarrow.FixedSizeListArray.from_arrays(
                pyarrow.array(of.vectors.astype(np.float64).reshape(-1)), of.vectors.shape[1]
            ),
            "text": pyarrow.array(of.documents, pyarrow.string()),
            "metadata": of.metadatas,
        }
    )
    pyarrow.parquet.write_table(table, folder / name, row_group_size=rows_per_group)
    return folder / name


def write_csv(of: Sample, folder: Path, delimiter: str = ",", name: str = "records.csv") -> Path:
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["id", "embedding", "document", *of.metadatas[0]])
        for item in objects(of):
            vector = orjson.dumps(item["embedding"]).decode()
            writer.writerow([item["id"], vector, item["document"], *item["metadata"].values()])
    return folder / name


def write_tsv(of: Sample, folder: Path) -> Path:
    return write_csv(of, folder, "\t", "records.tsv")


def write_xlsx(of: Sample, folder: Path) -> Path:
    rows: list[list[object]] = [["id", "embedding", "document", *of.metadatas[0]]]
    for item in objects(of):
        vector = orjson.dumps(item["embedding"]).decode()
        rows.append([item["id"], vector, item["document"], *item["metadata"].values()])
    return workbooks.write_rows(folder / "records.xlsx", rows)


def write_pair(of: Sample, folder: Path) -> Path:
    np.save(folder / "records.npy", of.vectors)
    rows = ({name: value for name, value in item.items() if name != "embedding"} for item in objects(of))
    text = b"\n".join(orjson.dumps(row) for row in rows)
    return _written(folder / "records.jsonl", text)


def write_base64(of: Sample, folder: Path) -> Path:
    from base64 import b64encode

    rows = (
        {**item, "embedding": b64encode(vector.astype("<f4").tobytes()).decode()}
        for item, vector in zip(objects(of), of.vectors, strict=True)
    )
    return _written(folder / "records.ndjson", "\r\n".join(json.dumps(row) for row in rows).encode())


Writer = Callable[[Sample, Path], Path]
FORMATS: Mapping[str, Writer] = {
    "jsonl": write_jsonl,
    "gzip": write_gzip,
    "zstd": write_zstd,
    "parquet": write_parquet,
    "pyarrow": write_pyarrow,
    "csv": write_csv,
    "tsv": write_tsv,
    "xlsx": write_xlsx,
    "npy": write_pair,
    "base64": write_base64,
}


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@dataclass(frozen=True, slots=True)
class ImportFixture:
    """A directory's stores, and the context of imports into them."""

    stores: Stores
    engine: Engine
    context: ImportContext

    def run(self, path: Path, sidecar: Sidecar | None = None, *, force: bool = False) -> ImportReport:
        """Import a file."""
        return self.import_result(path, sidecar, force=force).report

    def import_result(self, path: Path, sidecar: Sidecar | None = None, *, force: bool = False) -> ImportResult:
        source = file_source(path)
        assert source is not None
        return import_file(self.context, source, TARGET, GivenOptions(sidecar), NullListener(), force=force)

    def scope(self, name: str = TARGET.collection) -> Scope:
        made = self.engine.get_collection(TARGET.tenant, TARGET.database, name)
        return Scope(TARGET.tenant, TARGET.database, made.id)

    def contents(self) -> dict[str, tuple[Any, ...]]:
        """Every record by its id."""
        try:
            found = self.engine.get(self.scope(), Selection(), None, 0, EVERYTHING)
        except NotFound:
            return {}
        return by_id(getattr(found, "records", found))

    def errors(self, report: ImportReport) -> list[dict[str, Any]]:
        return list(self.context.store.errors(report.tenant, report.database, report.id))

    def appended(self) -> int:
        """Operations ever logged."""
        return self.engine.indexing_status(self.scope()).total_ops


def by_id(records: Records) -> dict[str, tuple[Any, ...]]:
    """Records by id."""
    assert records.embeddings is not None
    assert records.documents is not None
    assert records.metadatas is not None
    found = {}
    for at, name in enumerate(records.ids):
        metadata = records.metadatas[at]
        found[name] = (
            records.embeddings[at].tobytes(),
            records.documents[at],
            None if metadata is None else orjson.loads(metadata),
        )
    return found


def expected(of: Sample) -> dict[str, tuple[Any, ...]]:
    """The contents of a collection after an import of the sample."""
    return {
        name: (vector.tobytes(), document, metadata)
        for name, vector, document, metadata in zip(of.ids, of.vectors, of.documents, of.metadatas, strict=True)
    }


def import_fixture_at(folder: Path, settings: Settings = TINY, faults: Faults | None = None) -> ImportFixture:
    """The stores of a data directory, and an engine over them without an indexer."""
    stores = stores_at(folder, settings)
    Catalog(stores.table, stores.system).ensure_defaults()
    if faults is not None:
        stores = stores_at(folder, settings, faults=faults)
    engine = Engine(stores)
    import_store = ImportStore(stores.table, stores.objects, stores.system, settings.import_report_ttl_seconds)
    return ImportFixture(stores, engine, ImportContext(EngineSink(engine), import_store, settings, stores.system))


@contextmanager
def import_fixture(settings: Settings = TINY) -> Iterator[ImportFixture]:
    """Stores in a new directory, removed after the block."""
    with quick_folder() as folder:
        made = import_fixture_at(folder, settings)
        try:
            yield made
        finally:
            made.engine.close()
