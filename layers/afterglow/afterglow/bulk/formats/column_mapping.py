"""The roles of a file's columns: from its sidecar, else by their names; and the dimension of its embeddings."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from afterglow.bulk import row_values
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.types import ColumnMapping, ImportRejected

RECORD = "metadata"
"""The usual name of a column of metadata objects."""
SAMPLE_ROWS = 200
_NAMES = {"id": ("id",), "embedding": ("embedding", "vector"), "document": ("document", "text"), "uri": ("uri",)}


def map_columns(names: Sequence[str], options: Sidecar, *, is_record: bool, name: str, every: bool) -> ColumnMapping:
    """The roles of a file's columns. With `every`, `names` is complete. Raises ImportRejected."""
    roles: dict[str, str | None] = {}
    for role, usual in _NAMES.items():
        column = options.columns.get(role)
        if column is not None and column not in names and every:
            raise ImportRejected(f"{name} has no column {column!r}, which the sidecar names for {role}")
        roles[role] = column or next((name for name in usual if name in names), None)
    record, others = None, None
    if isinstance(options.metadata, str):
        record = options.metadata
    elif options.metadata is not None:
        others = options.metadata
    elif is_record:
        record = RECORD
    elif every:
        others = tuple(name for name in names if name not in roles.values())
    missing = [name for name in (record, *(others or ())) if name is not None and name not in names]
    if missing and every:
        raise ImportRejected(f"{name} has no column {missing[0]!r}, which the sidecar names for metadata")
    for key in others or ():
        problem = row_values.key_error(key)
        if problem is not None:
            raise ImportRejected(f"{name}: {problem}: a sidecar can list the columns that are metadata")
    return ColumnMapping(
        id=roles["id"],
        embedding=roles["embedding"],
        document=roles["document"],
        uri=roles["uri"],
        record=record,
        others=others,
    )


def require_embedding(columns: ColumnMapping, name: str) -> str:
    """The column of embeddings. Raises ImportRejected if there is none."""
    if columns.embedding is None:
        names = ", ".join(_NAMES["embedding"])
        raise ImportRejected(
            f"{name} has no embeddings: expected a column named {names}, a column named by a sidecar, or a .npy "
            f"file alongside JSON Lines; Afterglow computes no embeddings"
        )
    return columns.embedding


def infer_dimension(embeddings: Iterable[Any], options: Sidecar, name: str, *, is_empty: bool) -> int:
    """The sidecar's dimension, else the most common one of a sample; any for a file without rows.

    Raises ImportRejected if no value of the sample is an embedding.
    """
    counts = Counter(filter(None, map(row_values.embedding_dimension, embeddings)))
    dimension = options.dimension or max(counts, key=lambda dimension: counts[dimension], default=None)
    if dimension is None and not is_empty:
        raise ImportRejected(f"{name}: none of the first rows has an embedding; a sidecar can set the dimension")
    return dimension or 1
