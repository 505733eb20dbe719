"""Metadata columns: what goes in comes out, whichever way it went."""

import time
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.columns import ColumnSet, ColumnSetBuilder, ColumnType, concat, from_buffers, take
from afterglow.columns.dictionary import DictionaryBuilder, SortedDictionary
from afterglow.errors import Corrupt
from tests.columns.records import canonical, columns_of, metadatas, metadatas_of, to_arrays, without_empty_values

rows_of_metadata = st.lists(metadatas, max_size=12)
few_rows = st.lists(metadatas, max_size=4)


def test_appended_metadata_is_read_back() -> None:
    given_metadatas: list[dict[str, Any] | None] = [
        {"a": 1, "b": True, "c": "x", "d": 1.5},
        None,
        {"a": 1.0, "b": None, "c": ["x", "y"], "d": []},
        {},
        {"a": [1, 2], "b": [True], "c": [0.5], "d": "x"},
    ]
    assert canonical(metadatas_of(columns_of(given_metadatas))) == canonical(without_empty_values(given_metadatas))


def test_ints_beyond_int64_and_mixed_lists_become_floats() -> None:
    columns = columns_of([{"a": 2**63}, {"b": [1, 2.5]}, {"c": [2**64, 1]}])
    assert canonical(metadatas_of(columns)) == canonical([{"a": 2.0**63}, {"b": [1.0, 2.5]}, {"c": [2.0**64, 1.0]}])


def test_keys_keep_the_order_in_which_they_came() -> None:
    keys = [f"key {number}" for number in range(50)]
    columns = columns_of([dict.fromkeys(keys[:30], 1), dict.fromkeys(keys, 1)])
    assert list(columns.columns) == list(take(columns, np.arange(2)).columns) == keys


def test_a_column_with_every_row_needs_no_row_ids() -> None:
    builder = ColumnSetBuilder()
    builder.append([{"a": 1}, {"a": 2}])
    complete = builder.snapshot()
    builder.append([{"b": 1}])
    gappy = builder.snapshot()
    assert complete.columns["a"][0].row_ids is None
    assert gappy.columns["a"][0].row_ids is not None
    assert canonical(metadatas_of(complete)) == canonical([{"a": 1}, {"a": 2}])
    assert canonical(metadatas_of(gappy)) == canonical([{"a": 1}, {"a": 2}, {"b": 1}])


@pytest.mark.slow
@given(st.lists(few_rows, max_size=3))
def test_snapshots_are_not_disturbed_by_later_appends(batches: list[list[dict[str, Any] | None]]) -> None:
    builder = ColumnSetBuilder()
    snapshots: list[tuple[ColumnSet, list[str]]] = []
    so_far: list[dict[str, Any] | None] = []
    for batch in batches:
        builder.append(batch)
        so_far = so_far + batch
        snapshots.append((builder.snapshot(), canonical(without_empty_values(so_far))))
    assert len(builder) == len(so_far)
    for snapshot, expected in snapshots:
        assert canonical(metadatas_of(snapshot)) == expected


@given(rows_of_metadata, st.randoms(use_true_random=False))
def test_take_reorders_and_drops(rows: list[dict[str, Any] | None], random: Any) -> None:
    order = random.sample(range(len(rows)), random.randint(0, len(rows)))
    taken = take(columns_of(rows), np.array(order, dtype=np.int64))
    assert canonical(metadatas_of(taken)) == canonical(without_empty_values([rows[row] for row in order]))
    assert all(column.count for columns_of_key in taken.columns.values() for column in columns_of_key)


@given(st.lists(few_rows, max_size=3), st.randoms(use_true_random=False))
def test_concat_concatenates_the_selected_rows(groups: list[list[dict[str, Any] | None]], random: Any) -> None:
    selected = [random.sample(range(len(group)), random.randint(0, len(group))) for group in groups]
    columns = [columns_of(group) for group in groups]
    if len(columns) > 1:
        columns[0] = take(columns[0], np.arange(columns[0].rows))
    row_arrays = [np.array(rows, dtype=np.int64) for rows in selected]
    merged = concat(list(zip(columns, row_arrays, strict=True)))
    expected = [group[row] for group, rows in zip(groups, selected, strict=True) for row in rows]
    assert canonical(metadatas_of(merged)) == canonical(without_empty_values(expected))


def test_concat_retains_only_the_strings_in_use() -> None:
    columns = columns_of([{"a": f"text {number}"} for number in range(100)])
    once = take(columns, np.array([7, 3]))
    twice = take(once, np.array([1]))
    assert metadatas_of(once) == [{"a": "text 7"}, {"a": "text 3"}]
    assert metadatas_of(twice) == [{"a": "text 3"}]
    assert len(once.columns["a"][0].dictionary or ()) == 2
    assert len(twice.columns["a"][0].dictionary or ()) == 1


@given(rows_of_metadata)
def test_columns_survive_the_way_to_disk_and_back(rows: list[dict[str, Any] | None]) -> None:
    header, arrays = to_arrays(columns_of(rows))
    header = orjson.loads(orjson.dumps(header))
    mapped = [np.frombuffer(array.tobytes(), dtype=array.dtype) for array in arrays]
    read = from_buffers(header, mapped)
    assert canonical(metadatas_of(read)) == canonical(without_empty_values(rows))
    again, _ = to_arrays(read)
    assert again == header


def test_a_header_that_does_not_fit_its_arrays_is_corrupt() -> None:
    header, arrays = to_arrays(columns_of([{"a": 1, "b": "x", "c": [1.5, 2.5]}, {"b": "y"}]))
    with pytest.raises(Corrupt, match="version 2"):
        from_buffers({**header, "version": 2}, arrays)
    with pytest.raises(Corrupt, match="other arrays"):
        from_buffers(header, arrays[:-1])
    with pytest.raises(Corrupt, match="longer"):
        from_buffers({**header, "columns": header["columns"][:-1]}, arrays)
    for number, array in enumerate(arrays):
        if len(array):
            cut = [*arrays[:number], array[:-1], *arrays[number + 1 :]]
            with pytest.raises(Corrupt, match="shorter"):
                from_buffers(header, cut)


@given(st.sets(st.text(max_size=4)))
def test_a_sorted_dictionary_finds_every_string_and_no_other(strings: set[str]) -> None:
    columns = take(columns_of([{"a": text} for text in strings]), np.arange(len(strings)))
    column = columns.column("a", ColumnType.STR)
    dictionary = SortedDictionary(np.empty(0, np.uint8), np.zeros(1, np.uint64))
    if column is not None and isinstance(column.dictionary, SortedDictionary):
        dictionary = column.dictionary
    assert [dictionary.value(code) for code in range(len(dictionary))] == sorted(strings)
    assert all(dictionary.code(text) == code for code, text in enumerate(sorted(strings)))
    assert all(dictionary.code(text + "x") is None for text in strings if text + "x" not in strings)


def test_a_dictionary_builder_never_changes_a_code() -> None:
    dictionary = DictionaryBuilder()
    assert [dictionary.add(text) for text in ("b", "a", "b")] == [0, 1, 0]
    assert dictionary.code("a") == 1
    assert dictionary.code("c") is None
    assert dictionary.value(0) == "b"
    assert len(dictionary) == 2


@pytest.mark.slow
def test_ten_thousand_keys_stay_small() -> None:
    columns = columns_of([{f"key {number}": number} for number in range(10_000)])
    _, arrays = to_arrays(columns)
    assert sum(array.nbytes for array in arrays) < 200_000
    read = take(columns, np.array([42, 9_999]))
    assert metadatas_of(read) == [{"key 42": 42}, {"key 9999": 9999}]


def test_one_record_at_a_time_is_not_quadratic() -> None:
    def seconds(rows: int) -> float:
        builder = ColumnSetBuilder()
        record = {f"key {number}": number for number in range(10)}
        start = time.process_time()
        for _ in range(rows):
            builder.append([record])
            builder.snapshot()
        return time.process_time() - start

    seconds(100)
    assert seconds(8_000) < 40 * seconds(800)
