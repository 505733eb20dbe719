"""The roles of a file's columns: from its sidecar, else by their names; and the dimension of its embeddings.

Names are compared without regard to case. Besides Chroma's, known are those that other programs write: Cohere's and
Hugging Face's data sets (`emb`, `embeddings`), OpenAI's cookbook (`content_vector`, `ada_embedding`), Pinecone
(`values`), Qdrant (`payload`), Weaviate (`uuid`, `properties`), LangChain (`page_content`).
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from afterglow.bulk import row_values
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.types import ColumnMapping, ImportRejected

RECORD = "metadata"
"""The usual name of a column of metadata objects."""
SAMPLE_ROWS = 200
_NAMES = {
    "id": ("id", "ids", "_id", "uuid"),
    "embedding": (
        *("embedding", "embeddings", "vector", "vectors", "emb", "embs", "values", "content_vector", "text_vector"),
        *("ada_embedding", "text_embedding", "sentence_embedding", "embedding_vector", "dense_vector", "title_vector"),
    ),
    "document": ("document", "documents", "text", "content", "page_content"),
    "uri": ("uri", "uris"),
}
_RECORDS = (RECORD, "metadatas", "payload", "properties")
_PANDAS_INDEXES = re.compile(r"__index_level_\d+__|Unnamed: 0|")
_FRACTION = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?|[+-]?\d+e[+-]?\d+", re.IGNORECASE)
_VECTOR = re.compile(r"\[.*\d.*\d.*\]")
_NUMBERED = re.compile(r"(.*?)(\d+)")
_LEAST_COMPONENTS = 3

IsNumber = Callable[[str], bool]


def no_number(column: str) -> bool:
    """For files whose columns have no types."""
    del column
    return False


def check_header(names: Sequence[str], name: str) -> None:
    """Check the names of a file's columns, some of which may be empty. Raises ImportRejected."""
    if not any(names):
        raise ImportRejected(f"{name} has no header in its first line")
    doubled = sorted(column for column, count in Counter(names).items() if count > 1)
    if doubled:
        raise ImportRejected(f"{name} has no header of distinct names: {_list(doubled)} several times")
    if all(map(_FRACTION.fullmatch, names)) or any(map(_VECTOR.fullmatch, names)):
        raise ImportRejected(f"{name} has no header: its first line has values, {_list(names)[:200]}")


def map_columns(
    names: Sequence[str], options: Sidecar, *, name: str, every: bool, is_number: IsNumber = no_number
) -> ColumnMapping:
    """The roles of a file's columns. With `every`, `names` is complete; `is_number` is about a column's values.

    Raises ImportRejected.
    """
    roles: dict[str, str | None] = {}
    for role, usual in _NAMES.items():
        column = options.columns.get(role)
        # Any row of JSON Lines may be the first with a document; an id or an embedding is in every row.
        if column is not None and column not in names and (every or (names and role in ("id", "embedding"))):
            raise ImportRejected(f"{name} has no column {column!r}, which was given for {role}; it has {_list(names)}")
        roles[role] = column or _find(names, usual)
    components = _numbered(names, is_number) if roles["embedding"] is None else ()
    used = {*roles.values(), *components}
    ignored = _ignored(names, used, options)
    record: str | None = _find(names, _RECORDS) or RECORD
    others: tuple[str, ...] | None = None
    is_required = isinstance(options.metadata, str)
    if isinstance(options.metadata, str):
        record, others = options.metadata, ()
    elif options.metadata is not None:
        others = options.metadata
        record = next((column for column in options.metadata if column == record), None)
    elif every:
        others = tuple(column for column in names if column not in used and column not in ignored)
    if every:
        record = record if record in names or is_required else None
        for column in (record, *(others or ())):
            if column is not None and column not in names:
                raise ImportRejected(f"{name} has no column {column!r}, which was given for metadata")
    if isinstance(options.metadata, tuple | str):
        chosen = {*used, *(others or ()), record}
        ignored |= {column: "not chosen as metadata" for column in names if column not in {*chosen, *ignored}}
    for key in others or ():
        problem = row_values.key_error(key)
        if problem is not None:
            if options.metadata is not None:
                raise ImportRejected(f"{name}: {problem}")
            ignored[key] = problem
    stored = others and tuple(key for key in others if key not in ignored)
    if not every:
        ignored |= _absent(names, options)
    return ColumnMapping(
        id=roles["id"],
        embedding=roles["embedding"],
        embedding_columns=components,
        document=roles["document"],
        uri=roles["uri"],
        record=record,
        is_record_required=is_required,
        others=stored,
        flatten=options.flatten,
        ignored=ignored,
    )


def _find(names: Sequence[str], usual: Sequence[str]) -> str | None:
    """The first of the usual names that a column has."""
    by_lower = {column.strip().lower(): column for column in reversed(names)}
    return next((by_lower[known] for known in usual if known in by_lower), None)


def embedding_of(names: Sequence[str]) -> str | None:
    """The column with a usual name of embeddings."""
    return _find(names, _NAMES["embedding"])


def _numbered(names: Sequence[str], is_number: IsNumber) -> tuple[str, ...]:
    """Columns of numbers that are numbered from 0 or 1 on without a gap, such as e0, e1, e2; the most of one prefix."""
    groups: dict[str, dict[int, str]] = {}
    for column in names:
        match = _NUMBERED.fullmatch(column)
        if match is not None and is_number(column):
            groups.setdefault(match[1], {})[int(match[2])] = column
    complete = [
        tuple(group[number] for number in sorted(group))
        for group in groups.values()
        if len(group) >= _LEAST_COMPONENTS and min(group) in (0, 1) and max(group) - min(group) == len(group) - 1
    ]
    return max(complete, key=len, default=())


def _ignored(names: Sequence[str], used: set[str | None], options: Sidecar) -> dict[str, str]:
    """The columns that are no metadata, unless the sidecar chooses them, with the reason."""
    chosen = {*used, *((options.metadata,) if isinstance(options.metadata, str) else options.metadata or ())}
    reasons = {}
    for column in names:
        if column in chosen:
            continue
        if _PANDAS_INDEXES.fullmatch(column):
            reasons[column] = "the index of a pandas DataFrame"
        elif column.strip().lower() in _NAMES["embedding"]:
            reasons[column] = "further embeddings"
    return reasons


def _absent(names: Sequence[str], options: Sidecar) -> dict[str, str]:
    """Columns that were chosen by an unusual name, which no row of the sample has: perhaps a misspelt name."""
    metadata = (options.metadata,) if isinstance(options.metadata, str) else options.metadata or ()
    usual = {*_RECORDS, *(name for known in _NAMES.values() for name in known)}
    chosen = [*options.columns.items(), *(("metadata", column) for column in metadata)]
    return {
        column: f"given for {role}, but none of the first rows has it"
        for role, column in chosen
        if column not in names and column.lower() not in usual
    }


def require_embedding(columns: ColumnMapping, name: str, names: Sequence[str], lists: Sequence[str]) -> str | None:
    """The column of embeddings, None if the documents are to be embedded.

    `lists` are the columns that hold lists of numbers. Raises ImportRejected.
    """
    if columns.embedding is None and columns.document is not None and not lists:
        return None
    if columns.embedding is None:
        if lists:
            found = f"lists of numbers are in {_list(lists)}: choose one by --embedding or a sidecar"
        else:
            found = f"its columns are {_list(names)}, of which none holds lists of numbers"
        raise ImportRejected(
            f"{name} has no column with a usual name of embeddings, such as embedding, vector or values; {found}. "
            f"JSON Lines may have a .npy file alongside; without embeddings, a column of documents is embedded"
        )
    return columns.embedding


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:20]))
    return f"{shown}, …" if len(names) > 20 else shown or "none"


def infer_dimension(embeddings: Sequence[Any], options: Sidecar, name: str, *, is_empty: bool) -> int:
    """The sidecar's dimension, else the most common one of a sample; any for a file without rows.

    Raises ImportRejected if no value of the sample is an embedding.
    """
    counts = Counter(filter(None, map(row_values.embedding_dimension, embeddings)))
    dimension = options.dimension or max(counts, key=lambda dimension: counts[dimension], default=None)
    if dimension is None and not is_empty:
        raise ImportRejected(f"{name}: none of the first rows has an embedding{_reason(embeddings)}")
    return dimension or 1


def _reason(embeddings: Sequence[Any]) -> str:
    """Why the first value is none, if there is one."""
    for value in embeddings:
        try:
            row_values.encode_embedding(value or None, 1)
        except row_values.RowError as error:
            return f": {error}" if value else "; a sidecar can set the dimension"
    return "; a sidecar can set the dimension"
