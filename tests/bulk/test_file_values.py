"""Values of files byte by byte: columns, texts, encodings, quotes and nested values; what arrives, and the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from afterglow.bulk.report_text import column_lines
from afterglow.bulk.sidecar import GivenOptions
from tests.bulk.files import TARGET, ImportFixture
from tests.bulk.small_files import VECTORS, run, stored, write_lines, write_parquet


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


def test_an_open_quote_that_a_quote_of_the_next_line_ends(at: ImportFixture, tmp_path: Path) -> None:
    """The usual case, as embeddings are in quotes; Python takes what follows for further fields."""
    path = tmp_path / "a.csv"
    path.write_text(HEADER + 'x,"[1, 2]",a\ny,"[1, 2]","b\nz,"[1, 2]",c\n' + 'w,"[1, 2]","two\nlines",too many\n')
    report = run(at, path)
    assert (report.rows, report.rejected) == (1, 2)
    assert [(error["line"], error["reason"]) for error in at.errors(report)] == [
        (3, "a quote opened at line 3 is never closed"),
        (5, "it has 4 fields, the header has 3"),
    ]


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
