"""Types and values of a CSV's columns."""

from pathlib import Path

import pytest

from afterglow.bulk.formats import csv, field_types
from afterglow.bulk.sources import file_source
from afterglow.bulk.types import Compression, ImportRejected
from afterglow.settings import Settings


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["1", "-2", ""], "int"),
        (["1", "2.5"], "float"),
        (["true", "False"], "bool"),
        (["[1]", '{"a": 1}'], "json"),
        (["1", "A1"], "str"),
        (["007", "8"], "str"),
        (["1_000"], "str"),
        (["nan"], "str"),
        (["", ""], "str"),
    ],
)
def test_types_of_a_column(fields: list[str], expected: str) -> None:
    assert field_types.infer_types(["a"], [[field] for field in fields]) == {"a": expected}


def test_the_delimiter_is_detected(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeffid;a,b;c\n")
    source = file_source(tmp_path / "a.csv")
    assert source is not None
    assert csv.read_header(source, Compression.NONE, None, Settings()) == (";", ("id", "a,b", "c"))


@pytest.mark.parametrize("header", ["", "a,a\n", " ,\n"])
def test_invalid_headers(header: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(header)
    source = file_source(tmp_path / "a.csv")
    assert source is not None
    with pytest.raises(ImportRejected, match="header"):
        csv.read_header(source, Compression.NONE, None, Settings())
