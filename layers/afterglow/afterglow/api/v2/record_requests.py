"""From the body of a record request to what the engine takes: `Batch`, `Selection`.

A write's shape is judged whole before any value, because a wrong shape is refused (422) before the collection is looked
up, a wrong value (400) after.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from afterglow.api import models
from afterglow.api.validation import embeddings as vectors
from afterglow.api.validation import json_body, metadata
from afterglow.api.validation.embeddings import Embeddings
from afterglow.api.validation.metadata import Metadatas
from afterglow.collection import Batch, Op
from afterglow.collection.types import Include, Selection
from afterglow.errors import InvalidArgument
from afterglow.filters.parse import parse_where, parse_where_document

_NO_EMBEDDINGS = Embeddings(None)


@dataclass(frozen=True, slots=True)
class Write:
    """A write of good shape; `batch` judges its values. Raises InvalidArgument."""

    batch: Callable[[], Batch]


def parse_write(op: Op, body: bytes) -> Write:
    """The body of an add, update or upsert. Raises InvalidArgument for malformed JSON, Malformed."""
    request: models.AddRecords | models.UpdateRecords
    if op is Op.ADD:
        request = json_body.parse(models.AddRecords, body)
    elif op is Op.UPSERT:
        request = json_body.parse(models.UpsertRecords, body)
    else:
        request = json_body.parse(models.UpdateRecords, body)
    if op is not Op.UPDATE or request.embeddings is not None:
        vectors.check_shape(request.embeddings, nulls=op is Op.UPDATE)
    metadatas = metadata.check_shape(request.metadatas, nulls=op is not Op.ADD)
    return Write(lambda: _batch(op, request, metadatas))


def selection(request: models.Filters) -> Selection:
    """Which records a read or a delete is about. Raises InvalidArgument."""
    where = None if request.where is None else parse_where(request.where)
    where_document = None if request.where_document is None else parse_where_document(request.where_document)
    return Selection(request.ids, where, where_document)


def include(names: Sequence[str]) -> frozenset[Include]:
    """The fields asked for."""
    return frozenset(map(Include, names))


def _batch(op: Op, request: models.AddRecords | models.UpdateRecords, metadatas: Metadatas | None) -> Batch:
    given = request.embeddings
    embeddings = _NO_EMBEDDINGS if given is None else vectors.parse_embeddings(given)
    if metadatas is not None:
        metadata.check_values(metadatas)
    records = None if metadatas is None else metadatas.records
    for column in (given, request.documents, records, request.uris):
        if column is not None and len(column) != len(request.ids):
            raise InvalidArgument("Inconsistent number of IDs, embeddings, documents, URIs and metadatas")
    if "" in request.ids:
        raise InvalidArgument("Empty ID, ID must have at least one character")
    return Batch(
        op,
        request.ids,
        vectors=embeddings.vectors,
        vector_rows=embeddings.rows,
        documents=request.documents,
        metadatas=records,
        uris=request.uris,
    )
