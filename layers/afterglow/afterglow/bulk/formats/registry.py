"""The implementation of each file format."""

from afterglow.bulk.formats import csv, jsonl, parquet
from afterglow.bulk.formats.format import Format
from afterglow.bulk.types import FileFormat

FORMATS: dict[FileFormat, Format] = {
    FileFormat.JSONL: jsonl,
    FileFormat.CSV: csv,
    FileFormat.PARQUET: parquet,
}
