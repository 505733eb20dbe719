"""The checker finds what it is for: each kind of violation, planted."""

import pytest

from tests.concurrency.history import Claim, Event, Insert, Listing, Read, Sight, Write, violations

GOOD: list[Event] = [
    Write("w", "k", 1, 0, 1),
    Read("r", "k", 1, 2, 3),
    Write("w", "k", 2, 4, None),
    Read("r", "k", 1, 4, 5),
    Read("r", "k", 2, 6, 7),
    Claim("a", "c", "x", 0, 2),
    Claim("b", "c", "y", 1, 3),
    Sight("r", "c", "y", 2, 4),
    Insert("w", "one", 0, 1),
    Insert("w", "two", 2, 3),
    Insert("v", "three", 2, None),
    Listing("r", ("one",), 1, 2),
    Listing("r", ("one", "three", "two"), 4, 5),
]


def test_a_good_history_passes() -> None:
    """Concurrent and unanswered writes may be seen or not."""
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (Read("r", "k", None, 2, 3), "stale"),
        (Read("r", "k", 3, 2, 9), "invented"),
        (Read("r", "k", 1, 8, 9), "backwards"),
        (Sight("r", "c", "x", 5, 6), "several winners"),
        (Sight("r", "c", None, 5, 6), "lost claim"),
        (Sight("r", "c", "z", 5, 6), "nobody"),
        (Listing("r", ("one", "three"), 5, 6), "stale"),
        (Listing("r", ("three", "one"), 2, 3), "order"),
        (Listing("r", ("one", "three", "two", "two"), 5, 6), "twice"),
    ],
)
def test_a_violation_is_found(event: Event, word: str) -> None:
    """One bad event in a good history."""
    assert any(word in each for each in violations([*GOOD, event]))


def test_order_in_real_time() -> None:
    """A record acknowledged before another was begun may not stand behind it."""
    events: list[Event] = [Insert("w", "one", 0, 1), Insert("w", "two", 2, 3), Listing("r", ("two", "one"), 4, 5)]
    assert any("stands behind" in each for each in violations(events))
