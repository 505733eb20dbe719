"""What an export's file does not say of its collection: `<file>.import.json`, which an import reads beside the file.

The columns by role, the dimension, and what the collection is to be like: `configuration` or `schema`, and
`collection_metadata`.
"""

from pathlib import Path

import orjson

from afterglow.moving.sides import Described, asked

ENDING = ".import.json"

_COLUMNS = {"id": "id", "embedding": "embedding", "document": "document", "uri": "uri", "metadata": "metadata"}


def path_of(file: Path) -> Path:
    """The sidecar of a file."""
    return file.with_name(file.name + ENDING)


def encode(of: Described) -> bytes:
    """The sidecar's content."""
    value = {
        "columns": _COLUMNS,
        "dimension": of.dimension,
        "collection_metadata": of.metadata,
        **asked(of),
    }
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
