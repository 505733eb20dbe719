"""Files that are not quite what their name promises: nothing is lost in silence, and refusals say what to do."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afterglow.bulk.report_text import column_lines
from afterglow.bulk.sidecar import GivenOptions
from tests.bulk import workbooks
from tests.bulk.files import ImportFixture
from tests.bulk.small_files import run, stored, write_lines, write_parquet
from tests.bulk.workbooks import parts, row, sheet

ROW = {"id": "x", "embedding": [1.0, 2.0]}
OTHER = {"id": "y", "embedding": [3.0, 4.0]}
BOTH: dict[str, Any] = {"x": ([1, 2], None, None), "y": ([3, 4], None, None)}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_chosen_column_that_no_row_has(at: ImportFixture, tmp_path: Path) -> None:
    """A misspelt id or embedding ends the import, a misspelt document or metadata key is in the report."""
    path = write_lines(tmp_path / "a.jsonl", {**ROW, "year": 3})
    for role in ("id", "embedding"):
        report = run(at, path, GivenOptions(columns={role: "nosuch"}))
        expected = f"a.jsonl has no column 'nosuch', which was given for {role}; it has 'id', 'embedding', 'year'"
        assert (report.state, report.reason) == ("failed", expected)
    report = run(at, path, GivenOptions(columns={"document": "nosuch"}))
    assert report.ignored == {"nosuch": "given for document, but none of the first rows has it"}
    report = run(at, path, GivenOptions(metadata=("nosuch",)))
    assert report.ignored == {
        "year": "not chosen as metadata",
        "nosuch": "given for metadata, but none of the first rows has it",
    }


def test_a_chosen_column_may_come_later(at: ImportFixture, tmp_path: Path) -> None:
    rows = [{"id": str(number), "embedding": [1, 2]} for number in range(300)]
    report = run(
        at,
        write_lines(tmp_path / "a.jsonl", *rows, {**ROW, "title": "t", "year": 3, "page": 4}),
        GivenOptions(columns={"document": "title"}, metadata=("year",)),
    )
    assert (report.state, stored(at)["x"]) == ("done", ([1, 2], "t", {"year": 3}))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json", "a.parquet", "a.xlsx", "a.npy", "a.npz", "a.jsonl.gz"])
def test_a_file_of_no_bytes(at: ImportFixture, tmp_path: Path, name: str) -> None:
    report = run(at, write(tmp_path / name, ""))
    assert (report.state, report.reason) == ("failed", f"{name} is empty: it has 0 bytes")


def test_an_exported_collection_without_records(at: ImportFixture, tmp_path: Path) -> None:
    """JSON Lines of no records have no bytes; the sidecar of an export says what they would have."""
    write(tmp_path / "a.jsonl.import.json", json.dumps({"columns": {"id": "id", "embedding": "embedding"}}))
    report = run(at, write(tmp_path / "a.jsonl", ""))
    assert (report.state, report.reason, report.rows) == ("done", None, 0)


def test_files_without_rows(at: ImportFixture, tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.csv", "id,embedding,year\n"),
        write(tmp_path / "a.json", "[]"),
        write_parquet(tmp_path / "a.parquet", id=[], embedding=[]),
    ]
    for path in files:
        report = run(at, path)
        assert (report.state, report.rows, report.rejected) == ("done", 0, 0), path.name


@pytest.mark.parametrize(
    "text",
    [
        f"{json.dumps(ROW)}\n{json.dumps(OTHER)}\n",  # JSON Lines
        f"{json.dumps(ROW, indent=2)}\n{json.dumps(OTHER, indent=2)}",
        f"{json.dumps(ROW)},\n{json.dumps(OTHER)},\n",
        json.dumps({"x": {"embedding": [1, 2]}, "y": {"embedding": [3, 4]}}),
        json.dumps({"0": ROW, "1": OTHER}),  # pandas, orient="index"
        json.dumps({"columns": ["id", "embedding"], "index": [0, 1], "data": [["x", [1, 2]], ["y", [3, 4]]]}),
    ],
)
def test_forms_of_json(at: ImportFixture, tmp_path: Path, text: str) -> None:
    report = run(at, write(tmp_path / "a.json", text))
    assert (report.state, report.reason, report.rejected) == ("done", None, 0)
    assert stored(at) == BOTH


def test_a_single_record_and_bare_vectors_as_json(at: ImportFixture, tmp_path: Path) -> None:
    run(at, write(tmp_path / "a.json", json.dumps({**ROW, "tags": ["a"]})))
    run(at, write(tmp_path / "b.json", "[[3, 4], [5, 6]]"))
    assert stored(at) == {
        "x": ([1, 2], None, {"tags": ["a"]}),
        "b.json#0": ([3, 4], None, None),
        "b.json#1": ([5, 6], None, None),
    }


def test_json_under_the_name_of_json_lines(at: ImportFixture, tmp_path: Path) -> None:
    report = run(at, write(tmp_path / "a.jsonl", json.dumps([ROW])))
    assert report.reason is not None
    assert report.reason.endswith("it seems to hold a JSON array: such files end in .json")
    report = run(at, write(tmp_path / "b.jsonl", json.dumps(ROW, indent=2)))
    assert report.reason is not None
    assert report.reason.endswith("it seems to hold objects of several lines: such files end in .json")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.npz", "a.xlsx"])
def test_nan_and_infinity(at: ImportFixture, tmp_path: Path, name: str) -> None:
    """NaN is an absent value; infinity is left out, and the report counts it."""
    ids, vectors, scores = ["x", "y", "z"], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [1.5, math.nan, -math.inf]
    rows = [
        {"id": name, "embedding": vector, "score": score}
        for name, vector, score in zip(ids, vectors, scores, strict=True)
    ]
    path = tmp_path / name
    if name.endswith(".parquet"):
        write_parquet(path, id=ids, embedding=vectors, score=scores)
    elif name.endswith(".npz"):
        np.savez(path, id=np.array(ids), embedding=np.array(vectors), score=np.array(scores))
    elif name.endswith(".xlsx"):
        texts: list[object] = [1.5, None, "-inf"]
        cells = [[*pair] for pair in zip(ids, map(str, vectors), texts, strict=True)]
        workbooks.write_rows(path, [["id", "embedding", "score"], *cells])
    elif name.endswith(".csv"):
        lines = (f'{name},"{vector}",{score}\n' for name, vector, score in zip(ids, vectors, scores, strict=True))
        write(path, "id,embedding,score\n" + "".join(lines))
    else:
        write(path, json.dumps(rows) if name.endswith(".json") else "\n".join(map(json.dumps, rows)))
    report = run(at, path)
    assert (report.state, report.rows, report.rejected) == ("done", 3, 0)
    assert [metadata for _, _, metadata in stored(at).values()] == [{"score": 1.5}, None, None]
    assert "values taken as empty: infinite or no number in score in 1 rows" in column_lines(report)


def test_nan_in_lists_and_objects(at: ImportFixture, tmp_path: Path) -> None:
    """Of Parquet's own types, and of JSON in a text as Python writes it."""
    lists = [[1.0, math.nan], [1.0, 2.0]]
    texts = ['{"a": NaN, "b": 1}', '{"a": -Infinity, "c": "NaN"}']
    parquet = write_parquet(
        tmp_path / "a.parquet",
        id=["x", "y"],
        embedding=[[1.0, 2.0], [3.0, 4.0]],
        scores=lists,
        parts=[{"n": math.nan}, None],
        metadata=texts,
    )
    quoted = [text.replace('"', '""') for text in texts]
    csv = write(tmp_path / "b.csv", f'id,embedding,metadata\nv,"[1, 2]","{quoted[0]}"\nw,"[3, 4]","{quoted[1]}"\n')
    report = run(at, parquet)
    assert (report.state, report.rejected) == ("done", 0)
    assert report.left_out == {"#infinite or no number in scores": 1, "#infinite or no number in a": 1, "parts": 1}
    assert run(at, csv).state == "done"
    assert {name: metadata for name, (_, _, metadata) in stored(at).items()} == {
        "x": {"b": 1},
        "y": {"scores": [1.0, 2.0], "c": "NaN"},
        "v": {"b": 1},
        "w": {"c": "NaN"},
    }


def test_an_embedding_with_nan_is_rejected(at: ImportFixture, tmp_path: Path) -> None:
    report = run(at, write(tmp_path / "a.jsonl", f'{json.dumps(ROW)}\n{{"id": "y", "embedding": [NaN, 1]}}\n'))
    assert (report.rows, report.rejected) == (1, 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('x,"[1, 2]",7\ny,"[3, 4]",8\n', "has no header: its first line has values, 'x', '[1, 2]', '7'"),
        ("0.1,0.2,0.3\n0.4,0.5,0.6\n", "has no header: its first line has values, '0.1', '0.2', '0.3'"),
        ("1.5e-01,2.5e-01\n", "has no header: its first line has values"),
        ('id,embedding,a,a\nx,"[1, 2]",1,2\n', "has no header of distinct names: 'a' several times"),
        ("\n\n", "has no header in its first line"),
        ('id,embedding\rx,"[1, 2]"\r', "its lines end by a carriage return alone: save it with line feeds"),
        ("id,embedding\nx,words\n", "none of the first rows has an embedding: the embedding is neither a list nor"),
        ("id,embedding\nx,[0.1 ... 0.9]\n", "the embedding is an abbreviated text of numpy"),
    ],
)
def test_refused_csv(at: ImportFixture, tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    report = run(at, path)
    assert report.state == "failed"
    assert reason in str(report.reason)


def test_a_csv_with_spaces_behind_its_commas(at: ImportFixture, tmp_path: Path) -> None:
    report = run(at, write(tmp_path / "a.csv", 'id, embedding, title\nx, "[1, 2]", a b\ny, "[3, 4]", "c, d"\n'))
    assert (report.state, report.rejected) == ("done", 0)
    assert stored(at) == {"x": ([1, 2], None, {"title": "a b"}), "y": ([3, 4], None, {"title": "c, d"})}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_csv_that_names_its_separator(at: ImportFixture, tmp_path: Path, mark: str) -> None:
    """In a first line for Excel."""
    report = run(at, write(tmp_path / "a.csv", f'{mark}sep=|\nid|embedding|a,b,c\nx|"[1, 2]"|7\n'))
    assert (report.state, report.reason, report.rows) == ("done", None, 1)
    assert stored(at) == {"x": ([1, 2], None, {"a,b,c": 7})}


def test_spaces_without_a_space_in_the_header_are_text(at: ImportFixture, tmp_path: Path) -> None:
    run(at, write(tmp_path / "a.csv", 'id,embedding,title\nx,"[1, 2]", a\n'))
    assert stored(at) == {"x": ([1, 2], None, {"title": " a"})}


def test_arrays_of_another_number_of_rows(at: ImportFixture, tmp_path: Path) -> None:
    """Ids that do not fit are no reason to make up others."""
    np.savez(tmp_path / "a.npz", ids=np.array(["x"]), embeddings=np.array([[1.0, 2.0], [3.0, 4.0]]))
    report = run(at, tmp_path / "a.npz")
    assert (report.state, report.reason) == ("failed", "a.npz: 'ids' has 1 rows, 'embeddings' has 2")


def test_times_and_bytes_in_arrays(at: ImportFixture, tmp_path: Path) -> None:
    days = np.array(["2024-05-01", "2024-05-02"], dtype="datetime64[D]")
    np.savez(tmp_path / "a.npz", ids=["x", "y"], embeddings=[[1.0, 2.0], [3.0, 4.0]], day=days, raw=[b"1", b"2"])
    report = run(at, tmp_path / "a.npz")
    assert (report.state, report.rejected, report.ignored) == ("done", 0, {"raw": "metadata cannot hold |S1"})
    assert stored(at)["x"] == ([1, 2], None, {"day": "2024-05-01"})


def test_a_workbook_with_notes_first(at: ImportFixture, tmp_path: Path) -> None:
    data = sheet(row(1, "id", "embedding"), row(2, "x", "[1, 2]"))
    workbooks.write(tmp_path / "a.xlsx", parts({"Notes": sheet(row(1, "note"), row(2, "hello")), "Data": data}))
    report = run(at, tmp_path / "a.xlsx")
    assert report.state == "failed"
    assert "in its first sheet with rows ('Data' may be chosen by --sheet)" in str(report.reason)
    assert run(at, tmp_path / "a.xlsx", GivenOptions(sheet="Data")).rows == 1
