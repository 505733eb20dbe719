"""Sort keys: codes compare as the values do, over any number of row groups."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterglow.columns import take
from afterglow.ranking.sort_keys import SortKeys, sort_keys
from tests.columns.records import columns_of, lists, scalars, sparse_vectors
from tests.ranking.reference import comparable_value

values = st.none() | scalars | lists | sparse_vectors
few_values = values | st.sampled_from([1, 1.0, True, "1", "", [1], [1.0], [True], ["1"], 2**53, 2.0**53])
row_groups = st.lists(st.lists(few_values, max_size=6), min_size=1, max_size=3)


def keys_of(groups: list[list[Any]]) -> tuple[SortKeys, list[Any]]:
    """The codes of all rows of the groups, the first of which has a sorted dictionary, and their values."""
    columns = [columns_of([{"k": value} for value in group]) for group in groups]
    columns[0] = take(columns[0], np.arange(columns[0].rows))
    numbers = np.array([number for number, group in enumerate(groups) for _ in group], dtype=np.int64)
    rows = np.array([row for group in groups for row in range(len(group))], dtype=np.int64)
    return sort_keys(columns, numbers, rows, "k"), [value for group in groups for value in group]


def exact(comparable: Any) -> str:
    """A form in which 1 and 1.0 differ, but 0.0 and -0.0 do not."""
    return repr(comparable).replace("-0.0", "0.0")


@given(row_groups)
def test_codes_compare_as_the_values(groups: list[list[Any]]) -> None:
    keys, of_rows = keys_of(groups)
    comparable = [comparable_value(value) for value in of_rows]
    for one, code, identity in zip(comparable, keys.order.tolist(), keys.identity.tolist(), strict=True):
        for other, other_code, other_identity in zip(
            comparable, keys.order.tolist(), keys.identity.tolist(), strict=True
        ):
            assert (code < other_code) == (one < other)
            assert (code == other_code) == (one == other)
            assert (identity == other_identity) == (
                repr(one).replace("-0.0", "0.0") == repr(other).replace("-0.0", "0.0")
            )


def test_only_the_identity_distinguishes_an_int_from_its_float() -> None:
    keys, _ = keys_of([[1, 1.0, True, 2]])
    one, one_float, true, two = keys.order.tolist()
    assert true < one == one_float < two
    assert len(set(keys.identity.tolist())) == 4


def test_records_without_a_value_come_first() -> None:
    keys, _ = keys_of([[None, False], [{"#type": "sparse_vector", "indices": [1], "values": [1.0]}]])
    assert keys.order.tolist() == [0, 1, 0]
    assert keys.identity.tolist()[0] == 0
