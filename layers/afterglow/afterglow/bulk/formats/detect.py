"""Detects the format of a file from its name."""

from afterglow.bulk.types import Compression, FileFormat

NPY = ".npy"
_SUFFIXES = {
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".parquet": FileFormat.PARQUET,
    ".pq": FileFormat.PARQUET,
    ".json": FileFormat.JSON,
    ".npy": FileFormat.NPY,
    ".npz": FileFormat.NPY,
    ".xlsx": FileFormat.XLSX,
    ".xlsm": FileFormat.XLSX,
    ".xls": FileFormat.XLSX,  # refused with what to do
}
COMPRESSIONS = {".gz": Compression.GZIP, ".zst": Compression.ZSTD, ".zstd": Compression.ZSTD}
SIDECAR_SUFFIX = ".import.json"
"""The suffix of a sidecar, after the complete name of its file."""


def detect_format(name: str) -> tuple[FileFormat, Compression] | None:
    """Format and compression of a file with this name, None if such files are not imported."""
    lower = name.lower()
    compression = next((value for suffix, value in COMPRESSIONS.items() if lower.endswith(suffix)), Compression.NONE)
    if compression is not Compression.NONE:
        lower = lower.rpartition(".")[0]
    file_format = next((value for suffix, value in _SUFFIXES.items() if lower.endswith(suffix)), None)
    is_binary = file_format in (FileFormat.PARQUET, FileFormat.NPY, FileFormat.XLSX)
    if file_format is None or (is_binary and compression is not Compression.NONE):
        return None
    return file_format, compression


def is_auxiliary(name: str) -> bool:
    """Whether the file belongs to another or is none to import: a sidecar, embeddings, a hidden file.

    A `.npy` file may be imported alone, but only by its name: alongside JSON Lines it may come first.
    Excel keeps `~$name` beside an open workbook.
    """
    last = name.rpartition("/")[2]
    return last.startswith((".", "~$")) or last.endswith((SIDECAR_SUFFIX, NPY)) or not last


def matrix_name(name: str) -> str | None:
    """The name of the `.npy` file with the embeddings of a JSON Lines file, None for other formats."""
    detected = detect_format(name)
    if detected is None or detected[0] is not FileFormat.JSONL:
        return None
    stem = name.rpartition("/")[2]
    for suffix in COMPRESSIONS:
        stem = stem.removesuffix(suffix)
    return stem.rpartition(".")[0] + NPY
