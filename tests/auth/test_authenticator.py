"""The gate: what is decided from memory, what is asked, for how long it is believed."""

import random

import pytest

from afterglow.auth import Grant, Role
from afterglow.auth.authenticator import Authenticator, make_authenticator
from afterglow.auth.credentials import Credential
from afterglow.errors import Busy, InvalidArgument, Unauthenticated, Unavailable
from afterglow.settings import Settings, System
from tests.support.stores import ManualClock

GRANT = Grant("key", Role.READER, "one", None)
GOOD = Credential(None, b"good")
BAD = Credential(None, b"bad")
HERE = "192.0.2.1"


class Scripted:
    """A verifier that counts what it is asked."""

    def __init__(self) -> None:
        self.good = {GOOD: GRANT}
        self.asked: list[Credential] = []
        self.fails = False

    def find(self, credential: Credential) -> Grant | None:
        self.asked.append(credential)
        if self.fails:
            raise Unavailable("the table does not answer")
        return self.good.get(credential)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def verifier() -> Scripted:
    return Scripted()


@pytest.fixture
def authenticator(clock: ManualClock, verifier: Scripted) -> Authenticator:
    system = System(now=clock.now, monotonic=clock.now, random=random.Random(1))
    return Authenticator([verifier], Settings(auth_cache_seconds=60.0, auth_attempts_per_minute=5), system)


def check(authenticator: Authenticator, credential: Credential, address: str = HERE) -> Grant:
    """What an endpoint does."""
    return authenticator.cached(credential) or authenticator.authenticate(credential, address)


def test_a_grant_is_cached(authenticator: Authenticator, verifier: Scripted, clock: ManualClock) -> None:
    for _ in range(59):
        assert check(authenticator, GOOD) == GRANT
        clock.seconds += 1.0
    assert verifier.asked == [GOOD]
    clock.seconds += 1.0
    assert authenticator.cached(GOOD) is None
    assert check(authenticator, GOOD) == GRANT
    assert verifier.asked == [GOOD] * 2


def test_a_revoked_credential_is_refused_when_the_cache_expires(
    authenticator: Authenticator, verifier: Scripted, clock: ManualClock
) -> None:
    check(authenticator, GOOD)
    verifier.good.clear()
    clock.seconds += 59.9
    assert check(authenticator, GOOD) == GRANT
    clock.seconds += 0.1
    with pytest.raises(Unauthenticated):
        check(authenticator, GOOD)
    with pytest.raises(Unauthenticated):
        authenticator.cached(GOOD)


def test_a_table_that_does_not_respond_grants_nothing(
    authenticator: Authenticator, verifier: Scripted, clock: ManualClock
) -> None:
    check(authenticator, GOOD)
    verifier.fails = True
    assert check(authenticator, GOOD) == GRANT
    clock.seconds += 60.0
    for _ in range(10):
        with pytest.raises(Unavailable):
            check(authenticator, GOOD)
    verifier.fails = False
    assert check(authenticator, GOOD) == GRANT


def test_a_clock_that_was_set_back_ends_the_caching(
    authenticator: Authenticator, verifier: Scripted, clock: ManualClock
) -> None:
    check(authenticator, GOOD)
    clock.seconds -= 10.0
    check(authenticator, GOOD)
    assert verifier.asked == [GOOD] * 2


def test_a_rejection_is_cached_and_expires(
    authenticator: Authenticator, verifier: Scripted, clock: ManualClock
) -> None:
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            check(authenticator, BAD)
    assert verifier.asked == [BAD]
    verifier.good[BAD] = GRANT
    clock.seconds += 60.0
    assert check(authenticator, BAD) == GRANT


def guess(authenticator: Authenticator, number: int, address: str = HERE) -> str:
    try:
        check(authenticator, Credential(None, b"%d" % number), address)
    except (Unauthenticated, Busy) as error:
        return type(error).__name__
    return "in"


def test_guessing_is_slowed_down_for_its_address_alone(
    authenticator: Authenticator, verifier: Scripted, clock: ManualClock
) -> None:
    check(authenticator, GOOD)
    assert [guess(authenticator, number) for number in range(8)] == ["Unauthenticated"] * 5 + ["Busy"] * 3
    assert len(verifier.asked) == 6
    assert check(authenticator, GOOD) == GRANT
    assert guess(authenticator, 100, "192.0.2.2") == "Unauthenticated"
    # Who was known goes on to be, also when the time has come to ask again.
    clock.seconds += 60.0
    [guess(authenticator, number) for number in range(200, 220)]
    assert check(authenticator, GOOD) == GRANT


def test_a_limited_address_gets_the_time_to_wait(
    authenticator: Authenticator, verifier: Scripted, clock: ManualClock
) -> None:
    [guess(authenticator, number) for number in range(5)]
    with pytest.raises(Busy) as caught:
        check(authenticator, GOOD)
    assert caught.value.retry_after == pytest.approx(12.0)
    clock.seconds += caught.value.retry_after
    assert check(authenticator, GOOD) == GRANT


def test_valid_credentials_are_never_limited(authenticator: Authenticator, verifier: Scripted) -> None:
    for number in range(100):
        several = Credential(None, b"good%d" % number)
        verifier.good[several] = GRANT
        assert check(authenticator, several) == GRANT


def test_invalid_credentials_evict_no_valid_ones(
    authenticator: Authenticator, verifier: Scripted, clock: ManualClock
) -> None:
    check(authenticator, GOOD)
    for number in range(6_000):
        guess(authenticator, number, f"10.{number // 60_000}.{number // 250}.{number % 250}")
        clock.seconds += 0.001
    before = len(verifier.asked)
    assert check(authenticator, GOOD) == GRANT
    assert len(verifier.asked) == before


@pytest.mark.parametrize("auth", ["", "on", "keys,", "keys,off", "key"])
def test_an_unknown_method_is_refused_at_start(auth: str) -> None:
    with pytest.raises(InvalidArgument, match="AFTERGLOW_AUTH must be off, or one or more of keys, token, htpasswd"):
        make_authenticator(Scripted, Settings(auth=auth, auth_token="t"), System())  # type: ignore[arg-type]


def test_several_at_once(verifier: Scripted) -> None:
    assert make_authenticator(lambda: verifier, Settings(), System()) is None  # type: ignore[arg-type, return-value]
    authenticator = make_authenticator(lambda: verifier, Settings(auth="Token, keys", auth_token="abc"), System())  # type: ignore[arg-type, return-value]
    assert authenticator is not None
    assert check(authenticator, Credential(None, b"abc")).user == "anonymous"
    assert check(authenticator, GOOD) == GRANT
