"""Ids that are too long for an erasure are found by their bytes."""

import pytest

from afterglow.records.ids import MAX_ID_BYTES, find_too_long


@pytest.mark.parametrize("character", ["x", "é", "語", "🌒"])
def test_the_limit_is_in_bytes(character: str) -> None:
    longest = character * (MAX_ID_BYTES // len(character.encode()))
    assert find_too_long([]) is None
    assert find_too_long(["a", longest]) is None
    assert find_too_long(["a", longest + character, longest + 2 * character]) == longest + character
