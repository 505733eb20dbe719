"""JSON Lines: an object a record, plain or compressed by gzip.

Numbers of an embedding are written with as many digits as tell a float32 from its neighbours, so that it is read back
bit for bit; metadata is written as it is stored, which keeps 1 and 1.0 apart.
"""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import orjson

from afterglow.collection.model import Records
from afterglow.moving.sides import Contents

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
# Level 3 takes half as long again as 1 and 8 % less space; 6 takes four times as long.
_LEVEL = 1


def write(path: Path, contents: Contents, wrote: Callable[[int], None], *, compressed: bool) -> int:
    """Write the records; how many."""
    count = 0
    with path.open("wb") as plain:
        file: IO[bytes] = plain
        if compressed:
            # Neither a name nor a time: equal records make equal files.
            file = gzip.GzipFile("", "wb", _LEVEL, plain, mtime=0)  # type: ignore[assignment]
        with file:
            for page in contents.pages:
                file.write(b"".join(_lines(page)))
                count += len(page.ids)
                wrote(len(page.ids))
    return count


def _lines(page: Records) -> list[bytes]:
    nothing = [None] * len(page.ids)
    embeddings: Any = nothing if page.embeddings is None else page.embeddings
    lines = []
    for name, embedding, document, uri, metadata in zip(
        page.ids, embeddings, page.documents or nothing, page.uris or nothing, page.metadatas or nothing, strict=True
    ):
        record: dict[str, Any] = {"id": name, "embedding": embedding}
        if document is not None:
            record["document"] = document
        if uri is not None:
            record["uri"] = uri
        if metadata is not None:
            record["metadata"] = orjson.Fragment(metadata)
        lines.append(orjson.dumps(record, option=_OPTIONS))
    return lines
