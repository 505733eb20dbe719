"""How often an address may try."""

from collections.abc import Callable

import pytest

from afterglow.auth.rate_limit import RateLimiter
from tests.support.stores import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def tries(throttle: RateLimiter, address: Callable[[int], str], most: int = 10_000) -> int:
    """How many tries were to be had at once."""
    return next((number for number in range(most) if throttle.acquire(address(number))), most)


def test_an_address_has_so_many_tries_and_then_some_by_and_by(clock: ManualClock) -> None:
    throttle = RateLimiter(30, clock.now)
    assert tries(throttle, lambda _: "1.2.3.4") == 30
    assert throttle.acquire("1.2.3.4") == pytest.approx(2.0)
    assert throttle.acquire("1.2.3.5") == 0
    clock.seconds += 4.0
    assert tries(throttle, lambda _: "1.2.3.4") == 2
    clock.seconds += 3_600
    assert tries(throttle, lambda _: "1.2.3.4") == 30


def test_a_valid_credential_costs_no_attempt(clock: ManualClock) -> None:
    throttle = RateLimiter(30, clock.now)
    for _ in range(100):
        assert throttle.acquire("1.2.3.4") == 0
        throttle.refund("1.2.3.4")
    assert tries(throttle, lambda _: "1.2.3.4") == 30


def test_all_addresses_together_have_ten_times_as_many(clock: ManualClock) -> None:
    throttle = RateLimiter(30, clock.now)
    assert tries(throttle, lambda number: f"10.0.{number // 250}.{number % 250}") == 300


@pytest.mark.parametrize(
    ("address", "together"),
    [
        (lambda number: f"2001:db8::{number:x}", 30),
        (lambda number: f"2001:db8:0:{number:x}::1", 300),
        (lambda _: "::ffff:1.2.3.4", 30),
        (lambda _: "", 30),
        (lambda _: "testclient", 30),
    ],
)
def test_addresses_of_one_host_are_one(clock: ManualClock, address: Callable[[int], str], together: int) -> None:
    assert tries(RateLimiter(30, clock.now), address) == together


def test_a_clock_set_back_gives_nothing(clock: ManualClock) -> None:
    throttle = RateLimiter(30, clock.now)
    tries(throttle, lambda _: "1.2.3.4")
    clock.seconds -= 1_000
    assert throttle.acquire("1.2.3.4") > 0


def test_no_limit(clock: ManualClock) -> None:
    assert tries(RateLimiter(0, clock.now), lambda _: "1.2.3.4") == 10_000
