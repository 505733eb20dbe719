"""What the name of a file says of it."""

from afterglow.bulk.types import Compression, FileFormat

NPY = ".npy"
_SUFFIXES = {
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".parquet": FileFormat.PARQUET,
    ".pq": FileFormat.PARQUET,
}
COMPRESSIONS = {".gz": Compression.GZIP, ".zst": Compression.ZSTD, ".zstd": Compression.ZSTD}
SUFFIX = ".import.json"
"""Of a sidecar, after the whole name of its file."""


def detect_format(name: str) -> tuple[FileFormat, Compression] | None:
    """What a file of this name is, None where it is nothing that is imported."""
    lower = name.lower()
    compression = next((each for suffix, each in COMPRESSIONS.items() if lower.endswith(suffix)), Compression.NONE)
    if compression is not Compression.NONE:
        lower = lower.rpartition(".")[0]
    kind = next((each for suffix, each in _SUFFIXES.items() if lower.endswith(suffix)), None)
    if kind is None or (kind is FileFormat.PARQUET and compression is not Compression.NONE):
        return None
    return kind, compression


def is_auxiliary(name: str) -> bool:
    """Whether the file only says something of another: a sidecar, embeddings, or a hidden file."""
    last = name.rpartition("/")[2]
    return last.startswith(".") or last.endswith((SUFFIX, NPY)) or not last
