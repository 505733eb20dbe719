"""The implementation of each file format."""

from afterglow.bulk.formats import csv, json_file, jsonl, npy, parquet, rows, xlsx
from afterglow.bulk.formats.format import Format
from afterglow.bulk.types import FileFormat

FORMATS: dict[FileFormat, Format] = {
    FileFormat.JSONL: jsonl,
    FileFormat.CSV: csv,
    FileFormat.PARQUET: parquet,
    FileFormat.JSON: json_file,
    FileFormat.NPY: npy,
    FileFormat.XLSX: xlsx,
    FileFormat.ROWS: rows,
}
