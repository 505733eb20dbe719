"""A process that dies at any storage call loses nothing that was acknowledged, and leaves nothing for ever.

The programme of `tests.support.scenario` is run once to count its calls of the storage ports, then once more for each
call and each way to fail there.
"""

from collections.abc import Callable

import pytest

from tests.support.faulty import Crash, Fault, Faults, nth, seeded
from tests.support.scenario import ScenarioRun
from tests.support.stores import WITH_RETENTION, Clock, quick_folder, stores_at, with_faults

pytestmark = pytest.mark.slow


def run_with(choice: Callable[[int, str], Fault | None] | None, *, again: bool | None = False) -> list[str]:
    """One run of the programme with these faults, and what must hold afterwards; the calls that were made."""
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, WITH_RETENTION, clock)
        run = ScenarioRun(stores, clock)
        faults = Faults(choice)
        try:
            run.execute(with_faults(stores, faults), retry=again)
        except Crash:
            pass
        run.check_invariants()
        run.current_model()
        stores.table.close()
    return faults.calls


CALLS = run_with(None)


READS = ("table.get", "table.query", "objects.get", "objects.prefetch", "objects.list", "objects.local_path")


def is_write(name: str) -> bool:
    return not name.startswith(READS)


def test_the_scenario_uses_every_port_method() -> None:
    """Otherwise the tests below would prove little."""
    text = "\n".join(CALLS)
    for part in (
        "/graph",
        "/deleted-",
        "/manifest/",
        "/archive/",
        ".batch",
        "put_many",
        "objects.delete",
        "table.put STATE",
    ):
        assert part in text


@pytest.mark.parametrize("number", [at for at, name in enumerate(CALLS) if is_write(name)])
def test_a_crash_before_a_write(number: int) -> None:
    run_with(nth(number, Fault.CRASH_BEFORE))


@pytest.mark.parametrize("number", [at for at, name in enumerate(CALLS) if is_write(name)])
def test_a_crash_after_a_write(number: int) -> None:
    run_with(nth(number, Fault.CRASH_AFTER))


@pytest.mark.parametrize("number", [at for at, name in enumerate(CALLS) if is_write(name) or at % 3 == 0])
def test_a_call_that_is_refused(number: int) -> None:
    run_with(nth(number, Fault.REFUSED), again=True)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.REPEATED])
@pytest.mark.parametrize("number", [at for at, name in enumerate(CALLS) if is_write(name)])
def test_a_write_whose_answer_is_lost(number: int, fault: Fault) -> None:
    run_with(nth(number, fault), again=True)


@pytest.mark.parametrize("seed", range(25))
def test_many_failures_and_a_crash(seed: int) -> None:
    """The work may fail for good here: what was acknowledged must not care."""
    failing, last = seeded(seed, 0.03, [Fault.REFUSED, Fault.LOST, Fault.REPEATED]), 20 + 8 * seed
    run_with(lambda number, name: Fault.CRASH_AFTER if number == last else failing(number, name), again=None)
