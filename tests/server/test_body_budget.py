"""The budget for request bodies."""

import asyncio
from typing import Any

import pytest

from afterglow.server.body_budget import UNCOUNTED_BYTES, BodyBudget, Receive, Scope, Send


def scope(size: int | None, chunked: bool = False) -> Scope:
    headers: list[tuple[bytes, bytes]] = []
    if size is not None:
        headers.append((b"content-length", str(size).encode()))
    if chunked:
        headers.append((b"transfer-encoding", b"chunked"))
    return {"type": "http", "headers": headers}


class Gate:
    """An app whose requests stay until they are let go."""

    def __init__(self) -> None:
        self.inside: list[Any] = []
        self.let_go: dict[Any, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["name"]
        self.inside.append(name)
        self.let_go[name] = asyncio.Event()
        await self.let_go[name].wait()
        self.inside.remove(name)


async def _no_receive() -> dict[str, Any]:
    raise AssertionError


async def _no_send(_: Any) -> None:
    raise AssertionError


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


MB = 1 << 20


def enter(admission: BodyBudget, name: str, given: Scope) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(admission({**given, "name": name}, _no_receive, _no_send))


def test_large_bodies_wait_in_turn_and_small_ones_do_not() -> None:
    async def story() -> None:
        gate = Gate()
        admission = BodyBudget(gate, budget=10 * MB, max_body_bytes=8 * MB)
        tasks = [
            enter(admission, "six", scope(6 * MB)),
            enter(admission, "five", scope(5 * MB)),
            enter(admission, "one", scope(MB)),
            enter(admission, "small", scope(UNCOUNTED_BYTES)),
            enter(admission, "none", scope(None)),
        ]
        await settle()
        # "one" would fit, but "five" came first.
        assert gate.inside == ["six", "small", "none"]
        gate.let_go["six"].set()
        await settle()
        assert gate.inside == ["small", "none", "five", "one"]
        for event in gate.let_go.values():
            event.set()
        await asyncio.gather(*tasks)

    asyncio.run(story())


def test_a_body_of_unknown_size_counts_as_the_largest() -> None:
    async def story() -> None:
        gate = Gate()
        admission = BodyBudget(gate, budget=10 * MB, max_body_bytes=8 * MB)
        first, second = enter(admission, "a", scope(None, chunked=True)), enter(admission, "b", scope(3 * MB))
        await settle()
        assert gate.inside == ["a"]
        gate.let_go["a"].set()
        await settle()
        assert gate.inside == ["b"]
        gate.let_go["b"].set()
        await asyncio.gather(first, second)

    asyncio.run(story())


def test_a_body_that_will_be_refused_is_not_counted() -> None:
    async def story() -> None:
        gate = Gate()
        admission = BodyBudget(gate, budget=1 * MB, max_body_bytes=8 * MB)
        tasks = [enter(admission, name, scope(9 * MB)) for name in "ab"]
        await settle()
        assert gate.inside == ["a", "b"]
        for event in gate.let_go.values():
            event.set()
        await asyncio.gather(*tasks)

    asyncio.run(story())


@pytest.mark.parametrize("leaving", ["waiting", "admitted"])
def test_a_request_that_is_cancelled_gives_its_share_back(leaving: str) -> None:
    async def story() -> None:
        gate = Gate()
        admission = BodyBudget(gate, budget=8 * MB, max_body_bytes=8 * MB)
        first = enter(admission, "first", scope(8 * MB))
        second = enter(admission, "second", scope(8 * MB))
        third = enter(admission, "third", scope(8 * MB))
        await settle()
        if leaving == "waiting":
            second.cancel()
            await settle()
            gate.let_go["first"].set()
        else:
            gate.let_go["first"].set()
            # "first" returns and hands its share to "second", which is cancelled before it could run.
            await asyncio.sleep(0)
            second.cancel()
        await settle()
        assert gate.inside == ["third"]
        gate.let_go["third"].set()
        await asyncio.gather(first, third)
        assert second.cancelled()

    asyncio.run(story())
