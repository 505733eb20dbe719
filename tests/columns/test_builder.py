"""Builders: snapshots share what has not changed."""

from afterglow.columns import ColumnSetBuilder, ColumnType
from afterglow.columns.builder import PENDING_LIMIT
from tests.columns.records import metadatas_of


def test_a_snapshot_without_changes_is_the_same() -> None:
    builder = ColumnSetBuilder()
    builder.append([{"k": 1}])
    assert builder.snapshot() is builder.snapshot()


def test_columns_without_changes_are_shared_by_snapshots() -> None:
    builder = ColumnSetBuilder()
    builder.append([{"k": 1}, {"j": 1}])
    first = builder.snapshot()
    builder.append([{"j": 2}])
    second = builder.snapshot()
    assert second.columns["k"] is first.columns["k"]
    assert second.columns["j"] is not first.columns["j"]


def test_a_key_has_one_column_per_type() -> None:
    builder = ColumnSetBuilder()
    builder.append(
        [{"k": value} for value in (1, 1.5, True, "x", [1], (2, 3), ["x"], {"indices": [1], "values": [2.0]})]
    )
    types = [column.type for column in builder.snapshot().columns["k"]]
    assert types == [
        ColumnType.INT,
        ColumnType.FLOAT,
        ColumnType.BOOL,
        ColumnType.STR,
        ColumnType.INT_LIST,
        ColumnType.STR_LIST,
        ColumnType.SPARSE,
    ]


def test_many_appends_are_flushed_before_a_snapshot() -> None:
    builder = ColumnSetBuilder()
    for number in range(PENDING_LIMIT + 1):
        builder.append([{"k": number}])
    assert metadatas_of(builder.snapshot())[-1] == {"k": PENDING_LIMIT}
