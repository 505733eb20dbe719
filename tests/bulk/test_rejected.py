"""A bad row is reported with its line and reason, the others are accepted; too many, or a bad file, end the import."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from afterglow.bulk import sidecar
from tests.bulk import files
from tests.bulk.files import TINY, expected, import_fixture, sample

GOOD = sample(40)

BAD_LINES: list[tuple[bytes, str]] = [
    (b"no json", "no JSON"),
    (b"[1, 2]", "no JSON object"),
    (b'{"id": "x"}', "it has no embedding"),
    (b'{"id": "", "embedding": [0,0,0,0,0,0,0,0]}', "the id is empty"),
    (b'{"id": 1.5, "embedding": [0,0,0,0,0,0,0,0]}', "the id is neither"),
    (b'{"id": "x", "embedding": [1, 2]}', "the embedding has 2 dimensions, the collection has 8"),
    (b'{"id": "x", "embedding": [0,0,0,"0",0,0,0,0]}', "not a number"),
    (b'{"id": "x", "embedding": [true,0,0,0,0,0,0,0]}', "not a number"),
    (b'{"id": "x", "embedding": [1e39,0,0,0,0,0,0,0]}', "beyond 32 bits"),
    (b'{"id": "x", "embedding": {"a": 1}}', "the embedding is not a list"),
    (b'{"id": "x", "embedding": "AAAA"}', "the embedding has 0.75 dimensions"),
    (b'{"id": "x", "embedding": "!"}', "neither a list nor base64"),
    (b'{"id": "x", "embedding": [0,0,0,0,0,0,0,0], "document": 5}', "the document is not a string"),
    (b'{"id": "x", "embedding": [0,0,0,0,0,0,0,0], "metadata": {"a": ["b", 1]}}', "a list of several types"),
    (b'{"id": "x", "embedding": [0,0,0,0,0,0,0,0], "metadata": {"#a": 1}}', "begins with '#'"),
    (b'{"id": "x", "embedding": [0,0,0,0,0,0,0,0], "metadata": {"chroma:a": 1}}', "reserved"),
    (
        b'{"id":"x","embedding":[0,0,0,0,0,0,0,0],"metadata":{"s":{"#type":"sparse_vector","indices":[2,1],"values":[1,1]}}}',
        "an invalid sparse vector: its indices do not ascend",
    ),
    (
        b'{"id":"x","embedding":[0,0,0,0,0,0,0,0],"metadata":{"s":{"indices":[1],"values":[1e39]}}}',
        "an invalid sparse vector: a value is beyond float32",
    ),
    (b'{"id": "x", "embedding": "AAAB"}', "the embedding has 0.75 dimensions"),
    (b'{"id": "x", "embedding": "AB=="}', "neither a list nor base64"),
    (b'{"id": "\xff", "embedding": [0,0,0,0,0,0,0,0]}', "no JSON"),
    (b"x" * 5_000, "the line has more than 4000 bytes"),
]


@pytest.mark.parametrize("write", [bytes, lambda text: __import__("gzip").compress(text)], ids=["plain", "gzip"])
def test_bad_lines_are_reported_one_by_one(write: Callable[[bytes], bytes], tmp_path: Path) -> None:
    lines = files.lines(GOOD).splitlines()
    planted = {}
    for number, (line, reason) in enumerate(BAD_LINES):
        lines.insert(3 + 2 * number, line)
        planted[4 + 2 * number] = reason
    path = tmp_path / ("bad.jsonl" if write is bytes else "bad.jsonl.gz")
    path.write_bytes(write(b"\n".join(lines)))
    with import_fixture(replace(TINY, import_max_line_bytes=4_000)) as at:
        report = at.run(path)
        assert (report.state, report.rows, report.rejected) == ("done", 40, len(BAD_LINES))
        assert at.contents() == expected(GOOD)
        errors = at.errors(report)
        assert [error["line"] for error in errors] == list(planted)
        for error in errors:
            assert planted[error["line"]] in error["reason"], error
            assert error["file"] == path.name


def test_bad_rows_of_a_csv(tmp_path: Path) -> None:
    path = files.write_csv(GOOD, tmp_path)
    lines = path.read_bytes().split(b"\r\n")
    lines.insert(2, b"one,two")
    lines.insert(4, b'x,"[1,2]",d,s,1,1.5,True')
    lines.insert(5, b'x,"[0,0,0,0,0,0,0,0]",d,s,many,1.5,True')
    lines.insert(6, b'x\xff,"[0,0,0,0,0,0,0,0]",d,s,1,1.5,True')
    path.write_bytes(b"\r\n".join(lines))
    with import_fixture() as at:
        report = at.run(path, sidecar.from_json({"types": {"size": "int"}}))
        assert (report.state, report.rows, report.rejected) == ("done", 40, 4)
        assert at.contents() == expected(GOOD)
        reasons = [error["reason"] for error in at.errors(report)]
        assert [error["line"] for error in at.errors(report)][:1] == [3]
        for reason, said in zip(
            reasons, ("2 fields", "2 dimensions", "where others hold int", "not UTF-8"), strict=True
        ):
            assert said in reason


def test_bad_rows_of_a_parquet(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    vectors: list[Any] = [vector.tolist() for vector in GOOD.vectors]
    vectors[4], vectors[5], vectors[6] = None, [1.0], [None, *[1.0] * 7]
    vectors[7] = [float("nan")] * 8
    ids = [*GOOD.ids]
    ids[8] = ""
    metadata = [orjson.dumps(metadata).decode() for metadata in GOOD.metadatas]
    metadata[9] = '{"a": [1, "b"]}'
    table = pyarrow.table(
        {"id": ids, "embedding": vectors, "document": pyarrow.array(GOOD.documents), "metadata": metadata}
    )
    pyarrow.parquet.write_table(table, tmp_path / "bad.parquet", row_group_size=7)
    with import_fixture() as at:
        report = at.run(tmp_path / "bad.parquet")
        assert (report.state, report.rows, report.rejected) == ("done", 34, 6)
        accepted = {name: value for at_, (name, value) in enumerate(expected(GOOD).items()) if not 4 <= at_ <= 9}
        assert at.contents() == accepted
        reasons = {error["line"]: error["reason"] for error in at.errors(report)}
        assert reasons == {
            5: "it has no embedding",
            6: "the embedding has 1 dimensions, the collection has 8",
            7: "the embedding holds null",
            8: "the embedding holds NaN or infinity",
            9: "the id is empty",
            10: "metadata key 'a' holds a list of several types: [1, 'b']",
        }


def test_a_matrix_with_fewer_rows(tmp_path: Path) -> None:
    path = files.write_pair(GOOD, tmp_path)
    np.save(tmp_path / "records.npy", GOOD.vectors[:38])
    with import_fixture() as at:
        report = at.run(path)
        assert (report.rows, report.rejected) == (38, 2)
        assert [error["line"] for error in at.errors(report)] == [39, 40]


def test_too_many_bad_rows_end_it_and_a_higher_limit_goes_on(tmp_path: Path) -> None:
    lines = files.lines(GOOD).splitlines()
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"\n".join(lines + [b"bad"] * 11 + [b"{}"] * 9 + files.lines(sample(60)).splitlines()))
    with files.import_fixture(replace(TINY, import_max_rejected_rows=10, import_range_bytes=500)) as at:
        report = at.run(path)
        assert report.state == "failed"
        assert report.reason is not None
        assert "AFTERGLOW_IMPORT_MAX_REJECTED_ROWS is 10" in report.reason
        assert report.rows >= 40
        assert len(at.errors(report)) == report.rejected
        lenient = files.import_fixture_at(
            _folder(at), replace(TINY, import_max_rejected_rows=20, import_range_bytes=500)
        )
        again = lenient.run(path)
        assert (again.state, again.reason, again.rows, again.rejected) == ("done", None, 100, 20)
        assert lenient.contents() == expected(sample(60))
        lenient.engine.close()


def _folder(at: files.ImportFixture) -> Path:
    return Path(at.stores.table._path).parent  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("text.txt", b"hello", "files with this name are not imported"),
        ("empty.jsonl", b"\n", "none of its first lines is a JSON object"),
        ("empty.csv", b"\n", "has no header"),
        ("words.jsonl", b'{"id": "a", "size": 1}', "has no column with a usual name of embeddings"),
        ("null.jsonl", b'{"id": "a", "embedding": null}', "none of the first rows has an embedding"),
        ("no.parquet", b"PAR1 and nothing else", "not a complete Parquet file"),
        ("no.jsonl.gz", b"no gzip", "not a valid gzip file"),
        ("no.jsonl.zst", b"no zstd", "not a valid zstd file"),
        ("twice.csv", b"id,id\n1,2\n", "no header of distinct names"),
        ("bad.jsonl", b'{"embedding": [1], "#x": 1}', "metadata key '#x'"),
    ],
)
def test_a_file_that_cannot_be_read_at_all(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with import_fixture() as at:
        report = at.run(tmp_path / name)
        if name == "bad.jsonl":
            assert said in at.errors(report)[0]["reason"]
            return
        assert report.state == "failed"
        assert report.reason is not None
        assert said in report.reason
        assert at.context.store.list("default_tenant", "default_database") == [report]
        assert at.contents() == {}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"[]", "a sidecar is a JSON object"),
        (b"{", "import.json"),
        (b'{"colums": {}}', "a sidecar has no colums"),
        (b'{"columns": {"id": 1}}', "columns: 'id'"),
        (b'{"columns": {"metadata": 1}}', "columns.metadata"),
        (b'{"space": "taxi"}', "space is one of"),
        (b'{"dimension": 0}', "dimension is a whole number"),
        (b'{"types": {"a": "date"}}', "types are"),
        (b'{"configuration": {"hnsw": 5}}', "configuration"),
    ],
)
def test_a_sidecar_that_makes_no_sense(said: bytes, reason: str, tmp_path: Path) -> None:
    path = files.write_jsonl(sample(3), tmp_path)
    path.with_name(path.name + ".import.json").write_bytes(said)
    with import_fixture() as at:
        report = at.run(path)
        assert report.state == "failed"
        assert reason in (report.reason or "")


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    path = files.write_parquet(sample(3), tmp_path)
    path.with_name(path.name + ".import.json").write_bytes(b'{"columns": {"id": "key"}}')
    with import_fixture() as at:
        assert "has no column 'key'" in (at.run(path).reason or "")


def test_a_dimension_that_the_collection_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with import_fixture() as at:
        assert at.run(files.write_jsonl(sample(3), tmp_path)).rows == 3
        report = at.run(files.write_jsonl(sample(5, dimension=4), tmp_path / "other"))
        assert (report.state, report.rows, report.rejected) == ("done", 0, 5)
        assert "4 dimensions, the collection has 8" in at.errors(report)[0]["reason"]
