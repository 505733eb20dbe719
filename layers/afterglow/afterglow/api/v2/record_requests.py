"""Converts the body of a record request to the engine's arguments: `Batch`, `Selection`.

A write's schema is checked completely before any value, because Chroma refuses a wrong schema (422) before it looks up
the collection, and a wrong value (400) afterwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.api import models
from afterglow.api.validation import embeddings as vectors
from afterglow.api.validation import json_body, metadata
from afterglow.api.validation.embeddings import Embeddings
from afterglow.api.validation.metadata import Metadatas
from afterglow.collection import Batch, Op
from afterglow.collection.types import Include, Selection
from afterglow.errors import InvalidArgument
from afterglow.filters.budget import FilterBudget
from afterglow.filters.parse import parse_where, parse_where_document
from afterglow.settings import Settings

Records = models.AddRecords | models.UpdateRecords

WRITE_MODELS: dict[Op, type[Records]] = {
    Op.ADD: models.AddRecords,
    Op.UPSERT: models.UpsertRecords,
    Op.UPDATE: models.UpdateRecords,
}
DEFAULT_RESULTS = 10
"""Results of a query that does not say how many."""

_INCLUDES: dict[str, Include] = {member.value: member for member in Include}
_CHEAP_CONDITIONS = 16
_CHEAP_VALUES = 200
_NO_EMBEDDINGS = Embeddings(None)


@dataclass(frozen=True, slots=True)
class Write:
    """A write that matches the schema; `batch` checks its values. Raises InvalidArgument."""

    batch: Callable[[], Batch]
    embeds: bool
    """Whether the batch will have documents without an embedding."""


def parse_write(op: Op, body: bytes) -> Write:
    """Parse the body of an add, update or upsert. Raises InvalidArgument for malformed JSON, InvalidBody."""
    return check_records(op, json_body.parse(WRITE_MODELS[op], body))


def check_records(op: Op, records: Records) -> Write:
    """Check the rest of the schema of an add, update or upsert. Raises InvalidBody."""
    to_batch = check_write(op, records)
    value = records.embeddings
    embeds = bool(records.documents) and not vectors.are_complete(value)
    return Write(
        lambda: to_batch(_NO_EMBEDDINGS if value is None else vectors.parse_embeddings(value), _count(value)), embeds
    )


def check_write(op: Op, records: Records) -> Callable[[Embeddings, int | None], Batch]:
    """Check the rest of a write's schema; returns the function from its embeddings and their number to the batch.

    Raises InvalidBody; the function raises InvalidArgument.
    """
    nulls = True
    if op is not Op.UPDATE:
        # Without documents to embed, the schema is Chroma's, which has neither null nor absent embeddings.
        nulls = any(text is not None for text in records.documents or [])
        if not nulls and records.embeddings is None and "embeddings" not in records.model_fields_set:
            raise json_body.schema_error("", "missing field `embeddings`")
    if records.embeddings is not None or not nulls:
        vectors.check_shape(records.embeddings, nulls=nulls)
    metadatas = metadata.check_shape(records.metadatas, nulls=op is not Op.ADD)
    return lambda embeddings, count: _batch(op, records, metadatas, embeddings, count)


def filter_budget(settings: Settings) -> FilterBudget:
    """The budget for the filters of one request."""
    return FilterBudget(settings.max_filter_conditions, settings.max_filter_values)


def cheap_filter_budget(settings: Settings) -> FilterBudget:
    """The part of the budget for filters that are parsed in well under a millisecond."""
    return FilterBudget(
        min(_CHEAP_CONDITIONS, settings.max_filter_conditions),
        min(_CHEAP_VALUES, settings.max_filter_values),
        pattern_characters=0,
    )


def selection(filters: models.Filters, budget: FilterBudget) -> Selection:
    """The records that a read or a delete selects. Raises InvalidArgument, LimitExceeded."""
    where = parse_where(filters.where, budget)
    where_document = parse_where_document(filters.where_document, budget)
    return Selection(filters.ids, where, where_document)


def queries(body: "models.QueryRecords | models.ConditionalQuery", max_queries: int) -> NDArray[np.float32] | list[str]:
    """The vectors, float32 (m, dimension), or the texts of a query; m is at most `max_queries`.

    Raises InvalidBody, LimitExceeded, InvalidArgument.
    """
    if body.query_texts is None:
        if "query_embeddings" not in body.model_fields_set:
            raise json_body.schema_error("", "missing field `query_embeddings`")
        return vectors.parse_queries(body.query_embeddings, max_queries)
    if body.query_embeddings is not None:
        raise InvalidArgument("a query has either query_embeddings or query_texts, not both")
    vectors.check_query_count("query_texts", len(body.query_texts), max_queries)
    return body.query_texts


def include(names: Sequence[str]) -> frozenset[Include]:
    """The requested fields."""
    return frozenset([_INCLUDES[name] for name in names])


def _count(column: Sequence[Any] | None) -> int | None:
    return None if column is None else len(column)


def _batch(
    op: Op, records: Records, metadatas: Metadatas | None, embeddings: Embeddings, embedding_count: int | None
) -> Batch:
    if metadatas is not None:
        metadata.check_values(metadatas)
    metadata_column = None if metadatas is None else metadatas.records
    for count in (embedding_count, _count(records.documents), _count(metadata_column), _count(records.uris)):
        if count is not None and count != len(records.ids):
            raise InvalidArgument("Inconsistent number of IDs, embeddings, documents, URIs and metadatas")
    if "" in records.ids:
        raise InvalidArgument("Empty ID, ID must have at least one character")
    return Batch(
        op,
        records.ids,
        vectors=embeddings.vectors,
        vector_rows=embeddings.rows,
        documents=records.documents,
        metadatas=metadata_column,
        uris=records.uris,
    )
