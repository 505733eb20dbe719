"""From a row as a mapping of columns to a record: the same for JSON Lines, JSON, CSV and databases."""

from collections.abc import Mapping, Sequence
from typing import Any

from afterglow.bulk import row_values
from afterglow.bulk.embedding_groups import encode_embeddings
from afterglow.bulk.row_chunks import Row, RowChunkBuilder, row_id
from afterglow.bulk.row_values import RowError
from afterglow.bulk.types import ColumnMapping, Plan


class RowMapper:
    """Maps the rows of one file."""

    def __init__(self, columns: ColumnMapping) -> None:
        self._columns = columns
        roles = {columns.id, columns.embedding, columns.document, columns.uri}
        self._skipped = frozenset({*roles, *columns.embedding_columns, *columns.ignored, columns.record})

    def add(self, builder: RowChunkBuilder, record: object, number: int, plan: Plan) -> None:
        """Add row `number`, from 0, of a source whose positions are rows, or reject it."""
        try:
            if not isinstance(record, dict):
                raise RowError("no JSON object")
            name = None if plan.columns.id is None else record.get(plan.columns.id)
            identifier = row_id(plan.name, number) if name is None else row_values.identifier(name)
            builder.add(number + 1, identifier, self.embedding(record, plan.dimension), self.row(record, builder))
        except RowError as error:
            builder.reject(number + 1, str(error))

    def embedding(self, record: Mapping[str, Any], dimension: int) -> bytes:
        """The embedding as little-endian float32. Raises RowError."""
        return row_values.encode_embedding(self._embedding(record), dimension)

    def embeddings(self, records: Sequence[Mapping[str, Any]], dimension: int) -> list[bytes | RowError]:
        """The embedding of each record, or the reason for which it has none."""
        return encode_embeddings(list(map(self._embedding, records)), dimension)

    def _embedding(self, record: Mapping[str, Any]) -> Any:
        """The value of an embedding."""
        columns = self._columns
        if columns.embedding_columns:
            values = [record.get(name) for name in columns.embedding_columns]
            return None if None in values else values
        return None if columns.embedding is None else record.get(columns.embedding)

    def row(self, record: Mapping[str, Any], builder: RowChunkBuilder) -> Row:
        """The values of a record other than its id and embedding. Raises RowError."""
        columns = self._columns
        return Row(
            row_values.optional_text(None if columns.document is None else record.get(columns.document), "document"),
            row_values.optional_text(None if columns.uri is None else record.get(columns.uri), "uri"),
            self._metadata(record, builder.left_out),
        )

    def _metadata(self, record: Mapping[str, Any], left_out: dict[str, int]) -> dict[str, Any] | None:
        columns = self._columns
        if columns.others is None:
            skipped = self._skipped
            # Most files have either one object of metadata in each row or none.
            others = (
                {} if record.keys() <= skipped else {key: value for key, value in record.items() if key not in skipped}
            )
        else:
            others = {key: record[key] for key in columns.others if key in record and key != columns.record}
        if columns.record is not None:
            value = record.get(columns.record)
            if type(value) is dict:
                others = others | value if others else value
            elif value is not None:
                if columns.is_record_required:
                    raise RowError(f"{columns.record} is not an object")
                others[columns.record] = value
        return row_values.metadata(others, left_out, flatten=columns.flatten)
