"""Restrictions: the records that the holder of a key may see and write, by a filter for each collection.

A key with filters (`auth.api_keys`) gives its holder a `Restriction`, which goes with the scope of each request:

* **Reads**: a snapshot is restricted before anything else uses it. Rows outside the filter count as deleted, so no
  search, count, rank, statistic of words or look-up by id can tell them from rows that do not exist.
* **Writes** are admitted against a restricted snapshot and must become the very next log entry
  (`collection.write.admission`).
* A collection without a filter of the holder's does not exist for it.

Filters are over metadata alone, so that they can be evaluated for a write.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from afterglow.auth.permissions import Wheres
from afterglow.catalog import collections
from afterglow.collection.read import rows as fetch
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Restriction, Scope
from afterglow.columns import ColumnSetBuilder
from afterglow.columns.string_column import StringColumn
from afterglow.errors import Corrupt, InvalidArgument
from afterglow.filters import ast
from afterglow.filters.ast import Filter
from afterglow.filters.evaluate import evaluate
from afterglow.filters.parse import parse_where
from afterglow.segment.reader import Mask
from afterglow.segment.stored_columns import read_together

_NO_DOCUMENTS = StringColumn.from_list([])


def check_where(where: bytes) -> Filter:
    """The filter of a key's `where` clause. Raises InvalidArgument."""
    try:
        condition = parse_where(orjson.loads(where))
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"the filter of a key is not JSON: {error}") from None
    if condition is None or not any(True for _ in ast.leaves(condition)):
        raise InvalidArgument("the filter of a key needs at least one condition")
    if ast.reads_documents(condition):
        raise InvalidArgument("the filter of a key is over metadata, not over documents")
    return condition


@lru_cache(maxsize=1024)
def parse(wheres: Wheres) -> Restriction:
    """The restriction of a stored key. Raises Corrupt."""
    try:
        return Restriction({name: check_where(where) for name, where in wheres})
    except InvalidArgument as error:
        raise Corrupt(f"the filters of a key cannot be read: {error.message}") from error


def restrict(snapshot: Snapshot, scope: Scope) -> Snapshot:
    """The snapshot without the records that the scope's restriction excludes; itself without a restriction.

    Raises NotFound.
    """
    if scope.restriction is None:
        return snapshot
    condition = require_filter(snapshot, scope)
    fetch.read_roots(snapshot, [condition])
    keys = sorted({key for key, _ in ast.operands(condition)})
    read_together([group.rows.columns for group in snapshot.row_groups], keys)
    groups, records = [], 0
    for group in snapshot.row_groups:
        is_live = evaluate(condition, group.rows.columns, _NO_DOCUMENTS)
        if group.deleted is not None:
            is_live &= ~group.deleted
        records += int(np.count_nonzero(is_live))
        groups.append(replace(group, deleted=~is_live, next_expiry={}))
    return replace(snapshot, row_groups=tuple(groups), records=records)


def require_filter(snapshot: Snapshot, scope: Scope) -> Filter:
    """The filter of the scope's restriction for the collection. Raises NotFound if it has none."""
    assert scope.restriction is not None, "the caller sees a part of the records"
    condition = scope.restriction.filter_of(snapshot.collection.name)
    if condition is None:
        raise collections.not_found(scope.collection)
    return condition


def matches(condition: Filter, metadatas: Sequence[Mapping[str, Any] | None]) -> Mask:
    """Which of the records with these metadata match the filter."""
    builder = ColumnSetBuilder()
    builder.append(metadatas)
    return evaluate(condition, builder.snapshot(), _NO_DOCUMENTS)
