"""A crash or a lost response at any request to AWS, injected beneath botocore, through all of our code.

The scenario of `tests.support.scenario` runs once to count its requests, then once per combination of request and
fault: all of them on moto, some on MiniStack too.
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
from tests.support.fault_injection import (
    Fault,
    FaultInjector,
    crash_after_request,
    error_response,
    response_lost,
    skip_botocore_pauses,
    unreachable,
)
from tests.support.faulty import Crash
from tests.support.ministack import MiniStack, fresh_account
from tests.support.scenario import ScenarioRun
from tests.support.stores import Clock

READS = ("GetItem", "BatchGetItem", "Query", "GetObject", "ListObjectsV2")
THROTTLED = error_response(400, "ThrottlingException")
SLOW_DOWN = error_response(503, "SlowDown")
RACED = error_response(409, "ConditionalRequestConflict")


def crash_before_request(_: FaultInjector, request: Any, send: object) -> Any:
    raise Crash(request.url)


Choice = Callable[[int, str], Fault | None]
"""The fault of the attempt with this number (from 0) and operation, None for none."""


class Requests:
    """Counts the attempts of all clients of a process; after a crash, every attempt crashes."""

    def __init__(self, choice: Choice) -> None:
        self.names: list[str] = []
        self._choice = choice
        self._crashed = False
        self._lock = threading.Lock()

    def next(self, name: str) -> Fault | None:
        with self._lock:
            if self._crashed:
                return crash_before_request
            fault = self._choice(len(self.names), name)
            self.names.append(name)
            self._crashed = fault in (crash_after_request, crash_before_request)
            return fault


class CountedFaultInjector(FaultInjector):
    """Injects the process-wide faults into one client."""

    def __init__(self, client: Any, requests: Requests) -> None:
        super().__init__(client)
        self._requests = requests

    def _next(self, name: str) -> Fault | None:
        return self._requests.next(name)


class FaultyClients(GuardedClients):
    """Clients with the faults that `requests` chooses."""

    def __init__(self, requests: Requests) -> None:
        super().__init__()
        self._requests = requests

    def _create(self, service: str) -> Any:
        client = super()._create(service)
        CountedFaultInjector(client, self._requests)
        return client


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_botocore_pauses(monkeypatch)


def run_with(made: Made, choice: Choice, *, retry: bool | None = True) -> list[str]:
    """Run the scenario and check the invariants; returns the operations of its requests."""
    requests, clock = Requests(choice), Clock()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        reliable_clients, clients = guarded_clients(), FaultyClients(requests)
        run = ScenarioRun(stores_on_aws(made, Path(folder, "reliable"), clock=clock, clients=reliable_clients), clock)
        try:
            run.execute(stores_on_aws(made, Path(folder, "faulty"), clock=clock, clients=clients), retry=retry)
        except Crash:
            pass
        run.check_invariants()
        for group in (reliable_clients, clients):
            group.forget_credentials()
    return requests.names


def never(number: int, name: str) -> None:
    return None


def at(position: int, *faults: Fault) -> Choice:
    return lambda number, _: faults[number - position] if position <= number < position + len(faults) else None


def on_moto(choice: Choice, *, retry: bool | None = True) -> list[str]:
    with moto_aws():
        return run_with(make(), choice, retry=retry)


@pytest.fixture(scope="module")
def names() -> list[str]:
    return on_moto(never)


@pytest.mark.slow
def test_the_scenario_uses_every_operation(names: list[str]) -> None:
    """Otherwise the tests below would prove little."""
    expected = {"PutItem", "BatchWriteItem", "PutObject", "DeleteObjects", "SendMessage", "ListObjectsV2", "Query"}
    assert expected <= set(names)


PARTS = 8
FAULT_NAMES = ["crash after", "crash before", "response lost"]


def writes(names: list[str], part: int) -> list[int]:
    """The positions of one of several parts of all writing requests."""
    return [position for position, name in enumerate(names) if name not in READS][part::PARTS]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [crash_after_request, crash_before_request, response_lost], ids=FAULT_NAMES)
@pytest.mark.parametrize("part", range(PARTS))
def test_at_any_writing_request(names: list[str], part: int, fault: Fault) -> None:
    for position in writes(names, part):
        on_moto(at(position, fault))


@pytest.mark.slow
@pytest.mark.parametrize("fault", [crash_after_request, response_lost], ids=["crash after", "response lost"])
def test_at_some_writing_requests(names: list[str], fault: Fault) -> None:
    """A sample of the test above, for the default run."""
    positions = [position for part in range(PARTS) for position in writes(names, part)]
    for position in random.Random(str(fault)).sample(positions, 3):
        on_moto(at(position, fault))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_whatever_service_slows_down_or_is_not_there_for_a_while(names: list[str], part: int) -> None:
    for position in range(part, len(names), 20):
        for faults in ([THROTTLED] * 4, [unreachable] * 4, [SLOW_DOWN, response_lost, response_lost]):
            on_moto(at(position, *faults))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_many_failures_and_a_crash(seed: int) -> None:
    source, last = random.Random(seed), 30 + 12 * seed

    def choice(number: int, name: str) -> Fault | None:
        if number == last:
            return crash_after_request
        return source.choice([THROTTLED, SLOW_DOWN, response_lost, unreachable]) if source.random() < 0.05 else None

    on_moto(choice, retry=None)


@pytest.mark.stack
@pytest.mark.parametrize("fault", [crash_after_request, crash_before_request, response_lost], ids=FAULT_NAMES)
def test_on_ministack_at_some_writing_requests(names: list[str], emulator: MiniStack, fault: Fault) -> None:
    positions = [position for part in range(PARTS) for position in writes(names, part)]
    for position in positions[:: len(positions) // 8]:
        with mock.patch.dict("os.environ", emulator.environment(fresh_account())):
            run_with(make(), at(position, fault))
