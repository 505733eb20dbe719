"""A process that dies, or is not heard, at any request to AWS: beneath botocore, over the whole of our code.

The programme of `tests.support.programme` is run once to count its requests, then again for requests and ways to fail:
all of them on moto, some on MiniStack too.
"""

import random
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.support.aws import GuardedClients, Made, guarded_clients, make, moto_aws, stores_on_aws
from tests.support.faulty import Crash
from tests.support.ministack import MiniStack, fresh_account
from tests.support.programme import Run
from tests.support.sabotage import Fault, Sabotage, answered, dies, lost, unreachable, without_waiting
from tests.support.stores import Clock

READS = ("GetItem", "BatchGetItem", "Query", "GetObject", "ListObjectsV2")
THROTTLED = answered(400, "ThrottlingException")
SLOW_DOWN = answered(503, "SlowDown")
RACED = answered(409, "ConditionalRequestConflict")


def dies_before(_: Sabotage, request: Any, send: object) -> Any:
    raise Crash(request.url)


Choice = Callable[[int, str], Fault | None]
"""What becomes of the attempt of this number (from 0) and operation."""


class Requests:
    """Counts the attempts of all clients of a process; what dies stays dead."""

    def __init__(self, choice: Choice) -> None:
        self.names: list[str] = []
        self._choice = choice
        self._dead = False
        self._lock = threading.Lock()

    def next(self, name: str) -> Fault | None:
        with self._lock:
            if self._dead:
                return dies_before
            fault = self._choice(len(self.names), name)
            self.names.append(name)
            self._dead = fault in (dies, dies_before)
            return fault


class Numbered(Sabotage):
    """The attempts of one of the clients."""

    def __init__(self, client: Any, requests: Requests) -> None:
        super().__init__(client)
        self._requests = requests

    def _next(self, name: str) -> Fault | None:
        return self._requests.next(name)


class SabotagedClients(GuardedClients):
    """Clients whose attempts become what `requests` say."""

    def __init__(self, requests: Requests) -> None:
        super().__init__()
        self._requests = requests

    def _make(self, service: str) -> Any:
        client = super()._make(service)
        Numbered(client, self._requests)
        return client


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    without_waiting(monkeypatch)


def run_with(made: Made, choice: Choice, *, again: bool | None = True) -> list[str]:
    """One run of the programme, and what must hold afterwards; the operations of its requests."""
    requests, clock = Requests(choice), Clock()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        sound_clients, clients = guarded_clients(), SabotagedClients(requests)
        run = Run(stores_on_aws(made, Path(folder, "sound"), clock=clock, clients=sound_clients), clock)
        try:
            run.carry_out(stores_on_aws(made, Path(folder, "faulty"), clock=clock, clients=clients), again=again)
        except Crash:
            pass
        run.check_afterwards()
        for each in (sound_clients, clients):
            each.forget_credentials()
    return requests.names


def never(number: int, name: str) -> None:
    return None


def at(place: int, *faults: Fault) -> Choice:
    return lambda number, _: faults[number - place] if place <= number < place + len(faults) else None


def on_moto(choice: Choice, *, again: bool | None = True) -> list[str]:
    with moto_aws():
        return run_with(make(), choice, again=again)


@pytest.fixture(scope="module")
def names() -> list[str]:
    return on_moto(never)


def test_the_programme_uses_everything(names: list[str]) -> None:
    """Otherwise the tests below would prove little."""
    expected = {"PutItem", "BatchWriteItem", "PutObject", "DeleteObjects", "SendMessage", "ListObjectsV2", "Query"}
    assert expected <= set(names)


PARTS = 8


def writes(names: list[str], part: int) -> list[int]:
    """The places of one of several parts of all writing requests."""
    return [place for place, name in enumerate(names) if name not in READS][part::PARTS]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [dies, dies_before, lost], ids=["dies after", "dies before", "answer lost"])
@pytest.mark.parametrize("part", range(PARTS))
def test_at_any_writing_request(names: list[str], part: int, fault: Fault) -> None:
    for place in writes(names, part):
        on_moto(at(place, fault))


@pytest.mark.parametrize("fault", [dies, lost], ids=["dies after", "answer lost"])
def test_at_some_writing_requests(names: list[str], fault: Fault) -> None:
    """A sample of the test above, in the run of every day."""
    places = [place for part in range(PARTS) for place in writes(names, part)]
    for place in random.Random(str(fault)).sample(places, 3):
        on_moto(at(place, fault))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_whatever_service_slows_down_or_is_not_there_for_a_while(names: list[str], part: int) -> None:
    for place in range(part, len(names), 20):
        for faults in ([THROTTLED] * 4, [unreachable] * 4, [SLOW_DOWN, lost, lost]):
            on_moto(at(place, *faults))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_many_failures_and_a_crash(seed: int) -> None:
    source, last = random.Random(seed), 30 + 12 * seed

    def choice(number: int, name: str) -> Fault | None:
        if number == last:
            return dies
        return source.choice([THROTTLED, SLOW_DOWN, lost, unreachable]) if source.random() < 0.05 else None

    on_moto(choice, again=None)


@pytest.mark.stack
@pytest.mark.parametrize("fault", [dies, dies_before, lost], ids=["dies after", "dies before", "answer lost"])
def test_on_ministack_at_some_writing_requests(names: list[str], emulator: MiniStack, fault: Fault) -> None:
    places = [place for part in range(PARTS) for place in writes(names, part)]
    for place in places[:: len(places) // 8]:
        with mock.patch.dict("os.environ", emulator.environment(fresh_account())):
            run_with(make(), at(place, fault))
