"""The entries that a process remembers: consecutive ones, a bounded number, never a wrong one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.collection.write import recent_writes
from afterglow.collection.write.recent_writes import RecentWrites
from afterglow.log.entry import Entry, EntryKind

BATCH = EntryKind.BATCH


@given(st.lists(st.none() | st.integers(0, 3), max_size=12), st.integers(0, 14), st.integers(0, 14), st.integers(1, 6))
def test_what_is_known_is_what_was_written(written: list[int | None], after: int, up_to: int, limit: int) -> None:
    """Each entry writes a number of ids, None for another process's."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recent_writes, "_MAX_ENTRIES", limit)
        patched.setattr(recent_writes, "_MAX_IDS", 2 * limit)
        recent = RecentWrites()
        for seq, count in enumerate(written, 1):
            recent.append(Entry(seq, BATCH, f"n{seq}"), None if count is None else [f"{seq}"] * count)
    known = recent.between(after, up_to)
    asked = written[after:up_to]
    if known is not None:
        assert [(one.seq, one.nonce, list(one.ids)) for one in known] == [
            (seq, f"n{seq}", [f"{seq}"] * (count or 0)) for seq, count in enumerate(asked, after + 1)
        ]
        assert None not in asked
    elif after < up_to == len(written) and len(asked) <= limit and sum(count or 0 for count in asked) <= 2 * limit:
        assert None in asked or sum(count or 0 for count in asked) == 0


def test_a_gap_makes_the_entries_before_it_useless() -> None:
    recent = RecentWrites()
    for seq in (1, 2, 4):
        recent.append(Entry(seq, BATCH, "n"), ["a"])
    assert recent.between(1, 4) is None
    assert [one.seq for one in recent.between(3, 4) or []] == [4]
