"""Files as people have them: made by the tools and databases that write them; what arrives, and the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afterglow.bulk.report_text import column_lines
from afterglow.bulk.sidecar import GivenOptions
from tests.bulk.files import ImportFixture
from tests.bulk.small_files import VECTORS, run, stored, write_lines, write_parquet


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
