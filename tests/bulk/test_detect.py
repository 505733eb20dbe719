"""Formats by file name."""

import pytest

from afterglow.bulk.formats.detect import detect_format, is_auxiliary
from afterglow.bulk.types import Compression, FileFormat


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", (FileFormat.JSONL, Compression.NONE)),
        ("A.NDJSON.GZ", (FileFormat.JSONL, Compression.GZIP)),
        ("a.b.csv.zst", (FileFormat.CSV, Compression.ZSTD)),
        ("a.tsv", (FileFormat.CSV, Compression.NONE)),
        ("a.pq", (FileFormat.PARQUET, Compression.NONE)),
        ("a.parquet.gz", None),
        ("a.json", (FileFormat.JSON, Compression.NONE)),
        ("a.json.gz", (FileFormat.JSON, Compression.GZIP)),
        ("a.npz", (FileFormat.NPY, Compression.NONE)),
        ("a.npy.gz", None),
        ("A.XLSX", (FileFormat.XLSX, Compression.NONE)),
        ("a.xlsx.gz", None),
        ("a.xml", None),
        ("jsonl", None),
    ],
)
def test_formats(name: str, expected: tuple[FileFormat, Compression] | None) -> None:
    assert detect_format(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.jsonl", False),
        ("b.jsonl.import.json", True),
        ("a/b.npy", True),
        ("a/.hidden", True),
        ("a/~$b.xlsx", True),
        ("a/", True),
    ],
)
def test_auxiliary_files(name: str, expected: bool) -> None:
    assert is_auxiliary(name) is expected
