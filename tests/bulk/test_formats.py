"""Every format brings the same records, however the file is split, whoever wrote it."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from tests.bulk import files
from tests.bulk.files import FORMATS, TINY, expected, import_fixture, sample

file_format = pytest.mark.parametrize("name", sorted(FORMATS))


@file_format
@pytest.mark.parametrize("range_bytes", [1, 1_500, 10**9])
def test_contents_are_equal(name: str, range_bytes: int, tmp_path: Path) -> None:
    of = sample()
    path = FORMATS[name](of, tmp_path)
    with import_fixture(replace(TINY, import_range_bytes=range_bytes)) as at:
        report = at.run(path)
        assert (report.state, report.reason, report.rows, report.rejected) == ("done", None, len(of.ids), 0)
        assert report.ranges == report.ranges_done
        assert at.contents() == expected(of)
        assert at.engine.get_collection(*_place()).dimension == of.vectors.shape[1]
        assert at.appended() == len(of.ids)


def _place() -> tuple[str, str, str]:
    return files.TARGET.tenant, files.TARGET.database, files.TARGET.collection


@file_format
def test_the_same_file_again_is_known(name: str, tmp_path: Path) -> None:
    path = FORMATS[name](sample(), tmp_path)
    with import_fixture() as at:
        first = at.import_result(path)
        again = at.import_result(path)
        assert (first.already_imported, again.already_imported) == (False, True)
        assert again.report == first.report
        assert at.appended() == first.report.rows
        assert at.run(path, force=True).state == "done"
        assert at.appended() == 2 * first.report.rows


def test_what_is_split_is_split(tmp_path: Path) -> None:
    of = sample()
    for write, least in ((files.write_jsonl, 4), (files.write_pyarrow, 2), (files.write_pair, 3)):
        with import_fixture() as at:
            assert at.run(write(of, tmp_path)).ranges >= least
        for item in tmp_path.iterdir():
            item.unlink()


def test_columns_by_a_sidecar(tmp_path: Path) -> None:
    of = sample(9)
    rows = [
        {"key": name, "v": vector.tolist(), "words": document, "where": f"http://{name}", "extra": 1, **metadata}
        for name, vector, document, metadata in zip(of.ids, of.vectors, of.documents, of.metadatas, strict=True)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    columns = {"id": "key", "embedding": "v", "document": "words", "uri": "where", "metadata": ["section", "size"]}
    said = {"columns": columns, "space": "cosine", "collection_metadata": {"about": "test"}, "batch_size": 2}
    (tmp_path / "rows.jsonl.import.json").write_bytes(orjson.dumps(said))
    with import_fixture() as at:
        assert at.run(path).rows == 9
        made = at.engine.get_collection(*_place())
        assert made.metadata == {"about": "test"}
        assert '"space":"cosine"' in orjson.dumps(made.schema).decode()
        expected_records = {
            name: (vector, document, {"section": metadata["section"], "size": metadata["size"]})
            for name, (vector, document, metadata) in expected(of).items()
        }
        assert at.contents() == expected_records


def test_rows_without_an_id_get_the_same_one_every_time(tmp_path: Path) -> None:
    of = replace(sample(20), ids=[None] * 20)  # type: ignore[list-item]
    for write, name in ((files.write_jsonl, "records.jsonl"), (files.write_pyarrow, "records.parquet")):
        path = write(of, tmp_path)
        with import_fixture() as at:
            assert at.run(path).rows == 20
            before = at.contents()
            assert len(before) == 20
            assert all(item.startswith(f"{name}#") for item in before)
            assert at.run(path, force=True).rows == 20
            assert at.contents() == before


def test_keys_that_are_not_named_are_metadata(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    sparse = {"#type": "sparse_vector", "indices": [1, 5], "values": [0.5, 1.0]}
    rows = [
        {"id": 17, "vector": [1, 2], "text": "t", "tags": ["a"], "n": None, "none": [], "mixed": [1, 2.5]},
        {"id": "b", "vector": [3, 4], "large": 2**70, "words": sparse},
    ]
    path.write_bytes(b"\xef\xbb\xbf" + b"\n\n".join(map(orjson.dumps, [rows[0]])) + b"\n\n  \n")
    text = path.read_bytes() + b'{"id": "b", "vector": [3, 4], "large": 1180591620717411303424}'
    path.write_bytes(text)
    with import_fixture() as at:
        assert at.run(path).rows == 2
        found = at.contents()
        assert found["17"][1:] == ("t", {"tags": ["a"], "mixed": [1.0, 2.5]})
        assert found["b"][2] == {"large": float(2**70)}
        assert np.frombuffer(found["b"][0], dtype="<f4").tolist() == [3, 4]


def test_types_of_a_csv_are_those_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        "id;embedding;zip;n;x;yes;tags;note\n"
        'a;"[1,2]";007;1;1.5;true;"[""p"",""q""]";\n'
        'b;"[3,4]";123;;2;False;;words\n'
        'c;AACAPwAAAEA=;9;-3;1e3;TRUE;[];"with ;"\n'
    )
    with import_fixture() as at:
        report = at.run(path)
        assert (report.rows, report.rejected) == (3, 0)
        found = {name: metadata for name, (_, _, metadata) in at.contents().items()}
        assert found == {
            "a": {"zip": "007", "n": 1, "x": 1.5, "yes": True, "tags": ["p", "q"]},
            "b": {"zip": "123", "x": 2.0, "yes": False, "note": "words"},
            "c": {"zip": "9", "n": -3, "x": 1000.0, "yes": True, "note": "with ;"},
        }


def test_an_import_joins_what_is_there(tmp_path: Path) -> None:
    of = sample(30)
    with import_fixture() as at:
        at.run(files.write_jsonl(of, tmp_path))
        more = sample(40, seed=8)
        (tmp_path / "sub").mkdir()
        assert at.run(files.write_pyarrow(more, tmp_path / "sub")).rows == 40
        assert at.contents() == expected(more)


def test_a_csv_that_is_compressed(tmp_path: Path) -> None:
    of = sample(30)
    plain = files.write_csv(of, tmp_path)
    path = tmp_path / "other.csv.gz"
    path.write_bytes(gzip.compress(plain.read_bytes()))
    with import_fixture() as at:
        assert at.run(path).rows == 30
        assert at.contents() == expected(of)
