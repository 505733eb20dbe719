"""Files as people have them: made by the tools that write them, or byte by byte; what arrives, and the report."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow
import pytest
from pyarrow import parquet

from afterglow.bulk.import_file import NullListener, import_file
from afterglow.bulk.report_text import column_lines
from afterglow.bulk.sidecar import GivenOptions
from afterglow.bulk.sources import file_source
from afterglow.bulk.types import ImportReport
from afterglow.collection.types import Include, Selection
from tests.bulk.files import TARGET, TINY, ImportFixture, import_fixture

EVERYTHING = frozenset([Include.DOCUMENTS, Include.EMBEDDINGS, Include.METADATAS])
VECTORS = [[1.0, 2.0], [3.0, 4.0]]


@pytest.fixture
def at() -> Iterator[ImportFixture]:
    with import_fixture(TINY) as fixture:
        yield fixture


def run(at: ImportFixture, path: Path, given: GivenOptions | None = None) -> ImportReport:
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
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def write_parquet(path: Path, **columns: Any) -> Path:
    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_a_csv_of_pandas_with_its_index(at: ImportFixture, tmp_path: Path) -> None:
    """`DataFrame.to_csv()` of a frame with the columns id, embedding and year."""
    path = tmp_path / "a.csv"
    path.write_text(',id,embedding,year\n0,x,"[1.0, 2.0]",1999\n1,y,"[3.0, 4.0]",2001\n')
    report = run(at, path)
    assert (report.state, report.rows, report.rejected) == ("done", 2, 0)
    assert stored(at) == {"x": ([1, 2], None, {"year": 1999}), "y": ([3, 4], None, {"year": 2001})}
    assert column_lines(report) == [
        "columns: id from id; embedding from embedding; metadata from year",
        "ignored: '' (the index of a pandas DataFrame)",
    ]


def test_a_parquet_of_a_filtered_pandas_frame(at: ImportFixture, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", id=["x", "y"], embedding=VECTORS, n=[1, 2], __index_level_0__=[4, 7])
    report = run(at, path)
    assert stored(at)["y"] == ([3, 4], None, {"n": 2})
    assert report.ignored == {"__index_level_0__": "the index of a pandas DataFrame"}


@pytest.mark.parametrize(
    "name",
    [
        *("embedding", "embeddings", "emb", "embs", "vector", "vectors", "values", "content_vector", "Embedding"),
        *("EMBEDDING", " embedding ", "ada_embedding", "text_embedding", "sentence_embedding"),
    ],
)
def test_names_of_embeddings(at: ImportFixture, tmp_path: Path, name: str) -> None:
    report = run(at, write_lines(tmp_path / "a.jsonl", {"ID": "x", name: [1, 2]}))
    assert (report.state, report.reason) == ("done", None)
    assert stored(at) == {"x": ([1, 2], None, None)}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": "x", "values": [1, 2], "metadata": {"a": 1}}, {"a": 1}),  # Pinecone
        ({"id": 7, "vector": [1, 2], "payload": {"a": 1}}, {"a": 1}),  # Qdrant
        ({"uuid": "x", "vector": [1, 2], "properties": {"a": 1}}, {"a": 1}),  # Weaviate
        (
            {"id": "x", "class": "Book", "properties": {"a": 1}, "vectors": {"default": [1, 2]}},
            {"class": "Book", "a": 1},
        ),
        ({"uuid": "x", "vector": {"default": [1, 2]}, "properties": {"a": 1}}, {"a": 1}),  # Weaviate's Python client
        ({"_id": "x", "emb": [1, 2], "page_content": "t", "a": 1}, {"a": 1}),  # Cohere, LangChain
    ],
)
def test_rows_of_other_databases(at: ImportFixture, tmp_path: Path, row: Any, expected: Any) -> None:
    assert run(at, write_lines(tmp_path / "a.jsonl", row)).state == "done"
    ((vector, _, metadata),) = stored(at).values()
    assert (vector, metadata) == ([1, 2], expected)


def test_an_export_of_pinecone(at: ImportFixture, tmp_path: Path) -> None:
    """In the form of its bulk import: metadata as JSON, sparse values as two lists."""
    sparse = [{"indices": [3, 9], "values": [0.5, 0.25]}, None]
    path = write_parquet(
        tmp_path / "a.parquet", id=["x", "y"], values=VECTORS, metadata=['{"a": 1}', None], sparse_values=sparse
    )
    report = run(at, path)
    assert (report.state, report.reason, report.rejected) == ("done", None, 0)
    terms = {"#type": "sparse_vector", "indices": [3, 9], "values": [0.5, 0.25]}
    assert stored(at) == {"x": ([1, 2], None, {"a": 1, "sparse_values": terms}), "y": ([3, 4], None, None)}


def test_an_answer_of_weaviate(at: ImportFixture, tmp_path: Path) -> None:
    """`GET /v1/objects`: the objects are the only array of an object."""
    item = {"class": "Book", "id": "x", "properties": {"text": "d"}, "vectors": {"default": [1, 2]}}
    (tmp_path / "a.json").write_text(json.dumps({"deprecations": None, "objects": [item], "totalResults": 1}))
    assert run(at, tmp_path / "a.json").rows == 1
    assert stored(at)["x"][2] == {"class": "Book", "text": "d"}


def test_further_embeddings_are_no_metadata(at: ImportFixture, tmp_path: Path) -> None:
    """OpenAI's cookbook: title_vector and content_vector."""
    row = {"id": "x", "title": "t", "title_vector": [5, 6], "content_vector": [1, 2]}
    report = run(at, write_lines(tmp_path / "a.jsonl", row))
    assert stored(at) == {"x": ([1, 2], None, {"title": "t"})}
    assert report.ignored == {"title_vector": "further embeddings"}


def test_an_unknown_name_is_named_and_can_be_given(at: ImportFixture, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"key": "x", "mystery": [1, 2], "note": "n", "other": 1})
    report = run(at, path)
    assert report.state == "failed"
    assert "lists of numbers are in 'mystery': choose one by --embedding" in (report.reason or "")
    given = GivenOptions(columns={"embedding": "mystery", "id": "key", "document": "note"}, metadata=("other",))
    assert run(at, path, given).state == "done"
    assert stored(at) == {"x": ([1, 2], "n", {"other": 1})}
    nothing = run(at, write_lines(tmp_path / "b.jsonl", {"a": 1, "b": "x"}))
    assert "its columns are 'a', 'b', of which none holds lists of numbers" in (nothing.reason or "")


def records() -> list[dict[str, Any]]:
    return [
        {"id": "x", "embedding": [1, 2], "document": "d", "n": 1},
        {"id": "y", "embedding": [3, 4], "document": "e", "n": 2},
    ]


EXPECTED = {"x": ([1.0, 2.0], "d", {"n": 1}), "y": ([3.0, 4.0], "e", {"n": 2})}


@pytest.mark.parametrize(
    "value",
    [
        records(),
        {"vectors": records()},
        {
            "ids": ["x", "y"],
            "embeddings": VECTORS,
            "documents": ["d", "e"],
            "metadatas": [{"n": 1}, {"n": 2}],
            "uris": None,
            "data": None,
            "include": ["documents"],
        },
        {key: {str(row): record[key] for row, record in enumerate(records())} for key in records()[0]},
        {key: [record[key] for record in records()] for key in records()[0]},
    ],
    ids=["array", "the only array", "get of Chroma", "pandas by columns", "lists by columns"],
)
def test_json_files(at: ImportFixture, tmp_path: Path, value: Any) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value, indent=1))
    report = run(at, path)
    assert (report.state, report.rows, report.reason) == ("done", 2, None)
    assert stored(at) == EXPECTED


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "is not JSON"), ("3", "neither an array"), ("[1, 2]", "none of its first values is an object")],
)
def test_other_json_files(at: ImportFixture, tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert reason in (run(at, tmp_path / "a.json").reason or "")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", "<f8", "<f2", "<i4"])
def test_a_matrix_alone(at: ImportFixture, tmp_path: Path, order: Any, kind: str) -> None:
    np.save(tmp_path / "a.npy", np.array(VECTORS, dtype=kind, order=order))
    assert run(at, tmp_path / "a.npy").rows == 2
    assert {name: vector for name, (vector, _, _) in stored(at).items()} == {"a.npy#0": [1, 2], "a.npy#1": [3, 4]}


def test_a_matrix_in_fortran_order_alongside_lines(at: ImportFixture, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(np.arange(300, dtype=np.float32).reshape(100, 3)))
    write_lines(tmp_path / "a.jsonl", *({"id": f"{row}"} for row in range(100)))
    assert run(at, tmp_path / "a.jsonl").rows == 100
    assert stored(at)["41"][0] == [123, 124, 125]


def test_an_archive(at: ImportFixture, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(
        path, ids=np.array(["x", "y"]), mystery=np.array(VECTORS), texts=np.array(["d", "e"]), n=np.array([1, 2]), k=3
    )
    report = run(at, path)
    assert (report.state, report.reason) == ("done", None)
    assert stored(at)["y"] == ([3, 4], None, {"texts": "e", "n": 2})
    assert report.ignored == {"k": "it has another number of rows"}


def test_an_archive_with_pickles(at: ImportFixture, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", embeddings=np.array(VECTORS), ids=np.array([{"a": 1}, None], dtype=object))
    assert "pickled" in (run(at, tmp_path / "a.npz").reason or "")


@pytest.mark.parametrize("names", [["e0", "e1", "e2"], ["1", "2", "3"], ["dim_00", "dim_01", "dim_02"]])
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_numbered_columns(at: ImportFixture, tmp_path: Path, names: list[str], suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    rows: list[list[Any]] = [["x", 1, 2.5, 3], ["y", 4, 5, 6]]
    columns = ["id", *names]
    if suffix == "csv":
        path.write_text("\n".join(",".join(map(str, row)) for row in [columns, *rows]) + "\n")
    elif suffix == "jsonl":
        write_lines(path, *(dict(zip(columns, row, strict=True)) for row in rows))
    else:
        table = pyarrow.table([pyarrow.array([row[index] for row in rows]) for index in range(4)], names=columns)
        parquet.write_table(table, path)
    report = run(at, path)
    assert (report.state, report.reason) == ("done", None)
    assert stored(at) == {"x": ([1, 2.5, 3], None, None), "y": ([4, 5, 6], None, None)}
    assert report.columns["embedding"] == f"{names[0]} … {names[2]}"


def test_vectors_as_numpy_prints_them(at: ImportFixture, tmp_path: Path) -> None:
    vector = np.array([0.5, -1e-3, 2.0])
    path = tmp_path / "a.csv"
    path.write_text(f'id,embedding\nx,"{vector}"\ny,"{np.arange(2000.0)}"\nz,"[1 2\n 3]"\n')
    report = run(at, path)
    assert (report.rows, report.rejected) == (2, 1)
    assert np.allclose(stored(at)["x"][0], vector)
    assert stored(at)["z"][0] == [1, 2, 3]
    (error,) = at.context.store.errors(TARGET.tenant, TARGET.database, report.id)
    assert error == {
        "file": "a.csv",
        "line": 3,
        "reason": "the embedding is an abbreviated text of numpy: its numbers are not all there",
    }


@pytest.mark.parametrize("first", [True, False])
def test_a_row_with_a_metadata_object_means_the_same_everywhere(at: ImportFixture, tmp_path: Path, first: bool) -> None:
    plain = [{"id": f"{row}", "embedding": [1, 2], "year": row} for row in range(500)]
    special = {"id": "s", "embedding": [1, 2], "year": 7, "metadata": {"author": "a"}}
    path = write_lines(tmp_path / "a.jsonl", *([special, *plain] if first else [*plain, special]))
    report = run(at, path)
    assert (report.rows, report.rejected) == (501, 0)
    found = stored(at)
    assert found["s"][2] == {"year": 7, "author": "a"}
    assert found["499"][2] == {"year": 499}


def test_metadata_that_is_no_object_is_a_value(at: ImportFixture, tmp_path: Path) -> None:
    rows = [
        {"id": "x", "embedding": [1, 2], "metadata": "text"},
        {"id": "y", "embedding": [1, 2], "metadata": {"a": 1}},
    ]
    run(at, write_lines(tmp_path / "a.jsonl", *rows))
    run(
        at,
        write_parquet(
            tmp_path / "b.parquet", id=["p", "q"], embedding=VECTORS, metadata=["text", '{"a": 1}'], n=[1, 2]
        ),
    )
    (tmp_path / "c.csv").write_text('id,embedding,metadata,n\nr,"[1, 2]",text,1\ns,"[1, 2]","{""a"": 1}",2\n')
    run(at, tmp_path / "c.csv")
    assert {name: metadata for name, (_, _, metadata) in stored(at).items()} == {
        "x": {"metadata": "text"},
        "y": {"a": 1},
        "p": {"metadata": "text", "n": 1},
        "q": {"a": 1, "n": 2},
        "r": {"metadata": "text", "n": 1},
        "s": {"a": 1, "n": 2},
    }


HEADER, ROW = "id,embedding,title\n", 'x,"[1, 2]",café\n'


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1", "cp1252", "utf-8-sig"])
def test_encodings(at: ImportFixture, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((HEADER + ROW).encode(encoding))
    report = run(at, path)
    if encoding not in ("utf-16", "utf-8-sig"):  # those two have a mark
        assert report.state == "failed"
        assert "not UTF-8 at line" in (report.reason or "")
        assert "--encoding" in (report.reason or "")
        report = run(at, path, GivenOptions(encoding=encoding))
    assert (report.state, report.reason) == ("done", None)
    assert stored(at) == {"x": ([1, 2], None, {"title": "café"})}


def test_an_encoding_that_does_not_exist_or_does_not_fit(at: ImportFixture, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((HEADER + ROW).encode("latin-1"))
    assert "'klingon' is not an encoding" in (run(at, path, GivenOptions(encoding="klingon")).reason or "")
    assert "is not utf-16" in (run(at, path, GivenOptions(encoding="utf-16")).reason or "")


def test_a_long_file_in_another_encoding_is_resumed_exactly(at: ImportFixture, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"id": f"{row}", "embedding": [1, 2], "title": "é" * (row % 50)} for row in range(900)]
    path.write_bytes("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode("utf-16"))
    assert run(at, path).rows == 900
    assert stored(at)["49"][2] == {"title": "é" * 49}


def test_a_quote_that_is_never_closed(at: ImportFixture, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + 'x,"[1, 2]",a\ny,"[1, 2]","b\n' + "z,AACAPwAAAEA=,c\n" * 3)
    report = run(at, path)
    assert (report.rows, report.rejected) == (1, 1)
    (error,) = at.context.store.errors(TARGET.tenant, TARGET.database, report.id)
    assert (error["line"], error["reason"]) == (3, "a quote opened at line 3 is never closed")


def test_quotes_that_are_closed(at: ImportFixture, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + 'x,"[1, 2]","two\nlines"\ny,"[1, 2]","a ""quoted""\nword"')
    assert run(at, path).rejected == 0
    assert stored(at)["y"][2] == {"title": 'a "quoted"\nword'}


def test_a_binary_column_is_left_out(at: ImportFixture, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", id=["x", "y"], embedding=VECTORS, photo=[b"\0", b"\1"], n=[1, 2])
    report = run(at, path)
    assert stored(at)["x"] == ([1, 2], None, {"n": 1})
    assert column_lines(report)[1] == "ignored: 'photo' (metadata cannot hold BLOB)"


NESTED = {"street": "s", "geo": {"lat": 1.5}, "tags": [[1], [2]]}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_nested_values(at: ImportFixture, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "jsonl":
        write_lines(path, {"id": "x", "embedding": [1, 2], "n": 1, "address": NESTED})
    else:
        write_parquet(path, id=["x"], embedding=VECTORS[:1], n=[1], address=[NESTED])
    report = run(at, path)
    assert (report.rows, report.rejected) == (1, 0)
    assert stored(at)["x"][2] == {"n": 1}
    assert report.left_out == {"address": 1}
    assert column_lines(report)[-1].startswith("left out: 'address' in 1 rows (nested values, which --flatten")
    report = run(at, path, GivenOptions(flatten=True))
    assert stored(at)["x"][2] == {"n": 1, "address.street": "s", "address.geo.lat": 1.5}
    assert report.left_out == {"address.tags": 1}


def test_a_sparse_value_beyond_float32(at: ImportFixture, tmp_path: Path) -> None:
    terms = {"#type": "sparse_vector", "indices": [1], "values": [1e39]}
    report = run(at, write_lines(tmp_path / "a.jsonl", {"id": "x", "embedding": [1, 2], "terms": terms}))
    (error,) = at.context.store.errors(TARGET.tenant, TARGET.database, report.id)
    assert "a value is beyond float32" in error["reason"]


FIXTURES = Path(__file__).parent / "fixtures"
"""Written by pandas 3.1.1, polars 2.1.0, datasets 5.2.0, and as spreadsheets save CSV, each by its default options."""

ROWS = {
    "x": ([1, 2], "d", {"year": 1999}),
    "y": ([3, 4], "e", {"year": 2001}),
    "z": ([5, 6], "f", {"year": 2003}),
}


@pytest.mark.parametrize("path", sorted(FIXTURES.iterdir()), ids=lambda path: path.name)
def test_files_that_tools_wrote(at: ImportFixture, path: Path) -> None:
    encoding = "cp1252" if path.name == "excel.csv" else None
    report = run(at, path, GivenOptions(encoding=encoding))
    assert (report.state, report.reason, report.rejected) == ("done", None, 0)
    if "wide" in path.name:
        assert stored(at) == {name: ([*vector, 0.5], None, None) for name, (vector, _, _) in ROWS.items()}
    elif "filtered" in path.name:
        assert stored(at) == {name: ROWS[name] for name in ("y", "z")}
    else:
        assert stored(at) == ROWS
