"""Parquet, through pyarrow: a row group a page, so that a file of any size takes the memory of one.

Columns `id`, `embedding` (a list of float32 of fixed length), `document`, `uri` and `metadata`, which is JSON text:
keys come with whatever types they like, and 1 and 1.0 stay apart.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from afterglow.collection.model import Records
from afterglow.errors import InvalidArgument
from afterglow.moving.sides import Contents

if TYPE_CHECKING:
    import pyarrow


def check() -> None:
    """Raises InvalidArgument where pyarrow is missing."""
    if find_spec("pyarrow") is None:
        raise InvalidArgument("pyarrow is not installed, which Parquet needs: pip install 'afterglow[parquet]'")


def write(path: Path, contents: Contents, dimension: int | None, wrote: Callable[[int], None]) -> int:
    """Write the records; how many."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = pyarrow.schema(
        [
            pyarrow.field("id", pyarrow.string(), nullable=False),
            pyarrow.field("embedding", pyarrow.list_(pyarrow.float32(), dimension or -1), nullable=False),
            pyarrow.field("document", pyarrow.string()),
            pyarrow.field("uri", pyarrow.string()),
            pyarrow.field("metadata", pyarrow.string()),
        ]
    )
    count = 0
    # The bytes of floats one beside the other compress by another third; a dictionary of them would be of no use.
    with ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=False,
        use_byte_stream_split=["embedding.list.element"],
        write_statistics=["id"],
    ) as file:
        for page in contents.pages:
            file.write_batch(_batch(page, schema))
            count += len(page.ids)
            wrote(len(page.ids))
    return count


def _batch(page: Records, schema: "pyarrow.Schema") -> "pyarrow.RecordBatch":
    import pyarrow

    assert page.embeddings is not None
    nothing = [None] * len(page.ids)
    flat = pyarrow.array(page.embeddings.reshape(-1))
    metadatas = [None if each is None else each.decode() for each in page.metadatas or nothing]
    return pyarrow.record_batch(
        [
            pyarrow.array(page.ids, pyarrow.string()),
            pyarrow.FixedSizeListArray.from_arrays(flat, page.embeddings.shape[1]),
            pyarrow.array(page.documents or nothing, pyarrow.string()),
            pyarrow.array(page.uris or nothing, pyarrow.string()),
            pyarrow.array(metadatas, pyarrow.string()),
        ],
        schema=schema,
    )
