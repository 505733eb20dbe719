"""What the first records of a kind register in the state of a collection: the dimension, and metadata keys.

Dimension and schema must be in the state before the log has an entry that needs them: whoever reads the entry finds
the types of its keys. *Crash between: a collection with a dimension or keys and no records of them; harmless.*
"""

from collections.abc import Sequence
from dataclasses import replace

from afterglow.catalog import collections, schema
from afterglow.catalog.model import Collection
from afterglow.columns.column import ColumnType
from afterglow.errors import InvalidArgument, WrongDimension
from afterglow.log.batch import Batch, Op
from afterglow.records.ids import MAX_ID_BYTES, find_too_long
from afterglow.storage.ports import Table

_TYPE_NAMES: dict[type, str] = {
    bool: ColumnType.BOOL,
    int: ColumnType.INT,
    float: ColumnType.FLOAT,
    str: ColumnType.STR,
    dict: ColumnType.SPARSE,
}


def register(table: Table, collection: Collection, batches: Sequence[Batch]) -> Collection:
    """Set the dimension and register metadata keys, if these batches are the first to have them; the collection then.

    The loser of a race for the dimension gets the error. Raises NotFound, WrongDimension, Busy, and InvalidArgument for
    an id that is too long.
    """
    for batch in batches:
        long = None if batch.op is Op.DELETE else find_too_long(batch.ids)
        if long is not None:
            raise InvalidArgument(f"an id has at most {MAX_ID_BYTES} bytes, {long[:20]!r}… has {len(long.encode())}")
    keys = _metadata_types(batches)

    def edit(existing: Collection) -> Collection | None:
        dimension = common_dimension(existing.dimension, batches)
        registered = schema.register(existing.schema, keys)
        if registered is None and dimension == existing.dimension:
            return None
        return replace(existing, dimension=dimension, schema=registered or existing.schema)

    return collection if edit(collection) is None else collections.update(table, collection.id, edit)


def common_dimension(dimension: int | None, batches: Sequence[Batch]) -> int | None:
    """The dimension of the collection and of all batches that have vectors. Raises WrongDimension."""
    for batch in batches:
        given = batch.dimension
        if dimension is None:
            dimension = given
        elif given is not None and given != dimension:
            raise WrongDimension(dimension, given)
    return dimension


def _metadata_types(batches: Sequence[Batch]) -> dict[str, set[str]]:
    """The names of the value types of each metadata key in the batches."""
    metadatas = (
        metadata for batch in batches if batch.op is not Op.DELETE for metadata in batch.metadatas or () if metadata
    )
    types = {(key, _type_of(value)) for metadata in metadatas for key, value in metadata.items()}
    names: dict[str, set[str]] = {}
    for key, (value_type, is_list) in types:
        name = _TYPE_NAMES.get(value_type)
        if name is not None:
            names.setdefault(key, set()).add(f"{name}_list" if is_list else name)
    return names


def _type_of(value: object) -> tuple[type, bool]:
    if value.__class__ is list:
        return (value[0].__class__ if value else type(None)), True
    return value.__class__, False
