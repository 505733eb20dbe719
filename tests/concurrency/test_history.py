"""The checker finds every kind of violation, one injected at a time."""

import pytest

from tests.concurrency.history import Claim, Event, Insert, Listing, Observation, Read, Write, violations

GOOD: list[Event] = [
    Write("w", "k", 1, 0, 1),
    Read("r", "k", 1, 2, 3),
    Write("w", "k", 2, 4, None),
    Read("r", "k", 1, 4, 5),
    Read("r", "k", 2, 6, 7),
    Claim("a", "c", "x", 0, 2),
    Claim("b", "c", "y", 1, 3),
    Observation("r", "c", "y", 2, 4),
    Insert("w", "one", 0, 1),
    Insert("w", "two", 2, 3),
    Insert("v", "three", 2, None),
    Listing("r", ("one",), 1, 2),
    Listing("r", ("one", "three", "two"), 4, 5),
]


def test_a_good_history_passes() -> None:
    """Writes that are concurrent or without a response may be visible or not."""
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (Read("r", "k", None, 2, 3), "stale"),
        (Read("r", "k", 3, 2, 9), "invented"),
        (Read("r", "k", 1, 8, 9), "backwards"),
        (Observation("r", "c", "x", 5, 6), "several winners"),
        (Observation("r", "c", None, 5, 6), "lost claim"),
        (Observation("r", "c", "z", 5, 6), "did not claim"),
        (Listing("r", ("one", "three"), 5, 6), "stale"),
        (Listing("r", ("three", "one"), 2, 3), "order"),
        (Listing("r", ("one", "three", "two", "two"), 5, 6), "twice"),
    ],
)
def test_a_violation_is_found(event: Event, word: str) -> None:
    """One bad event in a good history."""
    assert any(word in problem for problem in violations([*GOOD, event]))


def test_order_in_real_time() -> None:
    """A record acknowledged before another was started must not come after it."""
    events: list[Event] = [Insert("w", "one", 0, 1), Insert("w", "two", 2, 3), Listing("r", ("two", "one"), 4, 5)]
    assert any("comes after" in problem for problem in violations(events))
