"""What an export's file does not say of its collection: `<file>.import.json`, which an import reads again."""

from pathlib import Path
from typing import Any

import orjson

from afterglow import __version__
from afterglow.moving.sides import Described

FORMAT = 1
ENDING = ".import.json"

COLUMNS = {"id": "id", "embedding": "embedding", "document": "document", "uri": "uri", "metadata": "metadata"}


def path_of(file: Path) -> Path:
    """The sidecar of a file."""
    return file.with_name(file.name + ENDING)


def encode(of: Described, records: int) -> bytes:
    """The sidecar's content."""
    value: dict[str, Any] = {
        "format": FORMAT,
        "written_by": f"afterglow {__version__}",
        "collection": of.name,
        "configuration": of.configuration,
        "schema": of.schema,
        "metadata": of.metadata,
        "dimension": of.dimension,
        "records": records,
        "columns": COLUMNS,
    }
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
