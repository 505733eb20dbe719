"""The budget of bytes for bodies and responses: order, fairness, and what is dropped for others."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.api.http import byte_budget
from afterglow.api.http.byte_budget import STALL_SECONDS, STEP_BYTES, ByteBudget, Dropped, Lease, make_budgets

MB = 1 << 20


def story(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it on a loop whose clock jumps to the next timer, so that no test waits."""
    loop = asyncio.new_event_loop()
    at = 0.0

    def select(timeout: float | None) -> list[Any]:
        nonlocal at
        at += timeout or 0.0
        return list(original(0))

    selector = loop._selector  # type: ignore[attr-defined]
    original = selector.select
    selector.select = select
    loop.time = lambda: at  # type: ignore[method-assign]
    try:
        loop.run_until_complete(asyncio.wait_for(work(), 1_000))
    finally:
        loop.close()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def start(lease: Lease, size: int) -> "asyncio.Task[None]":
    return asyncio.get_running_loop().create_task(lease.take(size))


def test_bytes_that_fit_are_taken_at_once_and_others_wait() -> None:
    async def work() -> None:
        budget = ByteBudget(10 * MB)
        first, second, third = (budget.lease("a") for _ in range(3))
        await first.take(2 * MB)
        await second.take(8 * MB)
        waiting = start(third, 3 * MB)
        await settle()
        assert (waiting.done(), budget.held) == (False, 10 * MB)
        second.release()
        await waiting
        assert budget.held == 5 * MB
        first.release()
        third.release()
        assert budget.held == 0

    story(work)


def test_nobody_overtakes_a_caller_with_as_little() -> None:
    async def work() -> None:
        budget = ByteBudget(10 * MB)
        holder, other, large, small = (budget.lease(name) for name in ("x", "y", "a", "b"))
        await holder.take(2 * MB)
        await other.take(8 * MB)
        tasks = [start(large, 9 * MB), start(small, MB)]
        await settle()
        other.release()
        await settle()
        assert [task.done() for task in tasks] == [False, False]
        holder.release()
        await asyncio.gather(*tasks)

    story(work)


def test_the_caller_that_holds_least_comes_first() -> None:
    async def work() -> None:
        budget = ByteBudget(10 * MB)
        held = [budget.lease("greedy") for _ in range(5)]
        for lease in held:
            await lease.take(2 * MB)
        early, late = budget.lease("greedy"), budget.lease("modest")
        tasks = [start(early, 2 * MB), start(late, 2 * MB)]
        await settle()
        held[1].release()
        await settle()
        assert [task.done() for task in tasks] == [False, True]
        held[2].release()
        await asyncio.gather(*tasks)

    story(work)


def test_partial_bodies_do_not_block_one_another() -> None:
    """Ten bodies of 8 MB that arrive side by side in a budget of 16: each needs bytes that the others hold."""

    async def work() -> None:
        budget = ByteBudget(16 * MB, reserve=8 * MB)
        finished = []

        async def bring(number: int) -> None:
            lease = budget.lease(str(number % 3))
            for _ in range(32):
                await lease.take(MB // 4)
                await asyncio.sleep(0)
                assert budget.held <= 16 * MB
            finished.append(number)
            lease.release()

        await asyncio.gather(*(bring(number) for number in range(10)))
        assert sorted(finished) == list(range(10))
        assert budget.held == 0

    story(work)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(1, 40), min_size=1, max_size=6)), max_size=12),
    st.randoms(use_true_random=False),
)
def test_every_transfer_ends_and_the_budget_holds(bodies: list[tuple[str, list[int]]], random: Any) -> None:
    """Whatever arrives in whatever order: the bound holds, everybody finishes, nothing is left over."""

    async def work() -> None:
        budget = ByteBudget(300, reserve=240)

        async def bring(caller: str, sizes: list[int]) -> None:
            lease = budget.lease(caller)
            try:
                for size in sizes:
                    for _ in range(random.randrange(3)):
                        await asyncio.sleep(0)
                    await lease.take(size)
                    assert budget.held <= 300
            finally:
                lease.release()

        await asyncio.gather(*(bring(*body) for body in bodies))
        assert budget.held == 0

    story(work)


@pytest.mark.parametrize("leaving", ["waiting", "granted"])
def test_a_transfer_that_is_cancelled_gives_its_share_back(leaving: str) -> None:
    async def work() -> None:
        budget = ByteBudget(8 * MB)
        leases = [budget.lease(name) for name in ("first", "second", "third")]
        await leases[0].take(8 * MB)
        tasks = [start(leases[1], 8 * MB), start(leases[2], 8 * MB)]
        await settle()
        if leaving == "granted":
            leases[0].release()
        tasks[0].cancel()
        await settle()
        leases[0].release()
        leases[1].release()
        await tasks[1]
        assert tasks[0].cancelled()
        assert budget.held == 8 * MB

    story(work)


def test_a_stalled_transfer_is_dropped_only_while_another_waits() -> None:
    async def work() -> None:
        budget = ByteBudget(10 * MB)
        dropped: list[str] = []
        slow, slower, busy = (budget.lease(name) for name in ("slow", "slower", "busy"))
        for lease, name in ((slower, "slower"), (slow, "slow"), (busy, "busy")):
            await lease.take(3 * MB)
            await asyncio.sleep(0.1)
            lease.interrupt = lambda name=name: dropped.append(name)
        await asyncio.sleep(10 * STALL_SECONDS)
        assert dropped == []

        async def keep_moving() -> None:
            while True:
                busy.move(STEP_BYTES)
                await asyncio.sleep(STALL_SECONDS / 2)

        moving = asyncio.get_running_loop().create_task(keep_moving())
        waiting = start(budget.lease("new"), 2 * MB)
        await asyncio.sleep(0.4)
        assert dropped == ["slower"]
        await asyncio.sleep(0.4)
        assert dropped == ["slower", "slow"]
        await asyncio.sleep(10)
        assert dropped == ["slower", "slow"]
        slower.release()
        await waiting
        moving.cancel()

    story(work)


def test_a_client_that_moves_a_little_is_stalled() -> None:
    async def work() -> None:
        budget = ByteBudget(10 * MB)
        trickle = budget.lease("trickle")
        await trickle.take(10 * MB)
        dropped: list[bool] = []
        trickle.interrupt = lambda: dropped.append(True)
        waiting = start(budget.lease("new"), MB)
        for _ in range(30):
            trickle.move(200)
            await asyncio.sleep(0.1)
        assert dropped == [True]
        trickle.release()
        await waiting

    story(work)


def test_a_caller_with_more_than_its_share_loses_a_transfer_to_one_with_less() -> None:
    async def work() -> None:
        budget = ByteBudget(10 * MB)
        greedy = [budget.lease("greedy") for _ in range(5)]
        dropped: list[int] = []
        for number, lease in enumerate(greedy):
            await lease.take(2 * MB)
            lease.interrupt = lambda number=number: dropped.append(number)
        modest = start(budget.lease("modest"), MB)
        for _ in range(20):
            for lease in greedy:
                lease.move(STEP_BYTES)
            await asyncio.sleep(0.1)
            if dropped:
                break
        assert len(dropped) == 1
        greedy[dropped[0]].release()
        await modest
        # Among equals nobody is dropped for his share.
        waiting = start(budget.lease("greedy"), 4 * MB)
        for _ in range(50):
            for lease in greedy:
                lease.move(STEP_BYTES)
            await asyncio.sleep(0.1)
        assert len(dropped) == 1
        waiting.cancel()

    story(work)


def test_a_transfer_in_progress_is_not_dropped() -> None:
    """One without an `interrupt` does not wait for its client: its request is being executed."""

    async def work() -> None:
        budget = ByteBudget(10 * MB)
        executing = budget.lease("x")
        await executing.take(10 * MB)
        waiting = start(budget.lease("y"), MB)
        await asyncio.sleep(60)
        assert not executing.is_dropped
        executing.release()
        await waiting

    story(work)


def test_what_waits_is_limited_and_the_greediest_caller_pays() -> None:
    async def work() -> None:
        budget = ByteBudget(10 * MB, max_waiting=5 * MB)
        holder = budget.lease("x")
        await holder.take(10 * MB)
        greedy = [start(budget.lease("greedy"), 2 * MB) for _ in range(2)]
        await settle()
        modest = start(budget.lease("modest"), 2 * MB)
        await settle()
        assert [task.done() for task in (*greedy, modest)] == [False, True, False]
        with pytest.raises(Dropped):
            await greedy[1]
        more = start(budget.lease("greedy"), 3 * MB)
        await settle()
        with pytest.raises(Dropped):
            await more
        holder.release()
        await asyncio.gather(greedy[0], modest)

    story(work)


def test_one_response_of_any_size_is_admitted() -> None:
    async def work() -> None:
        budget = ByteBudget(10 * MB, max_waiting=5 * MB)
        first, second = budget.lease("a"), budget.lease("b")
        await first.take(30 * MB)
        waiting = start(second, 40 * MB)
        await settle()
        assert not waiting.done()
        first.release()
        await waiting
        assert budget.held == 40 * MB

    story(work)


def test_the_budget_of_bodies_has_room_for_one_of_the_largest() -> None:
    async def work() -> None:
        budgets = make_budgets(MB, 8 * MB, 4 * MB)
        lease = budgets.bodies.lease("a")
        for _ in range(8):
            await lease.take(MB)
        assert budgets.bodies.held == 8 * MB

    story(work)


def test_a_check_runs_only_while_somebody_waits() -> None:
    async def work() -> None:
        budget = ByteBudget(MB)
        lease = budget.lease("a")
        await lease.take(MB)
        waiting = start(budget.lease("b"), MB)
        await settle()
        lease.release()
        await waiting
        await asyncio.sleep(10 * byte_budget._CHECK_SECONDS)
        assert budget._timer is None

    story(work)
