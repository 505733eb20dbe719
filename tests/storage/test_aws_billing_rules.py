"""Sizes and request units, by the examples of DynamoDB's documentation and at the edges."""

from typing import Any

import pytest

from afterglow.storage.aws import billing
from tests.support import consumed_capacity

KEY: Any = {"pk": {"S": "p"}, "sk": {"S": "s"}}
KEY_SIZE = 6


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 1), ("1", 2), ("10", 2), ("12", 2), ("123", 3), ("1000", 2), ("1763720000", 4), ("-1", 3), ("-27", 3)],
)
def test_a_number_has_a_byte_for_two_significant_digits_and_one_more(text: str, size: int) -> None:
    assert billing.number_size(text) == size


def test_an_item_is_its_names_and_values_in_bytes() -> None:
    assert billing.item_size(KEY) == KEY_SIZE
    assert billing.item_size({**KEY, "value": {"B": bytes(100)}}) == KEY_SIZE + 5 + 100
    assert billing.item_size({**KEY, "pk": {"S": "é"}, "sk": {"S": "\U0001f600"}}) == 4 + 2 + 4
    assert billing.item_size({**KEY, "version": {"N": "7"}, "expires_at": {"N": "1763720123"}}) == KEY_SIZE + 9 + 16


@pytest.mark.parametrize(("sizes", "written"), [((), 1), ((0,), 1), ((1024,), 1), ((1025,), 2), ((10, 3500), 4)])
def test_writing_is_billed_by_the_kilobyte_of_the_larger(sizes: tuple[int, ...], written: int) -> None:
    assert billing.write_units(*sizes) == written


@pytest.mark.parametrize(("size", "read"), [(0, 1), (4096, 1), (4097, 2), (400 * 1024, 100)])
def test_reading_is_billed_by_four_kilobytes(size: int, read: int) -> None:
    assert consumed_capacity.read_units(size) == read


def test_a_page_is_billed_by_the_sum_of_its_items() -> None:
    assert consumed_capacity.page_units([]) == 1
    assert consumed_capacity.page_units([1000] * 4) == 1
    assert consumed_capacity.page_units([1500] * 40) == 15
