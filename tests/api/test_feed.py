"""Requests that wait: how many, and whose."""

import asyncio
from contextlib import ExitStack

import pytest
from starlette.types import Message

from afterglow.api.http import feed
from afterglow.api.http.feed import Client, Followers
from afterglow.errors import Busy


async def _never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def test_one_caller_does_not_keep_others_from_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_FOLLOWERS", 4)

    async def scenario() -> None:
        followers = Followers()
        clients = [Client({}, _never) for _ in range(7)]
        with ExitStack() as stack:
            for client in clients[:4]:
                stack.enter_context(followers.join(client, "many"))
            with pytest.raises(Busy):
                stack.enter_context(followers.join(clients[4], "many"))
            for number, client in enumerate(clients[4:6]):
                stack.enter_context(followers.join(client, "few"))
                assert [one.is_over for one in clients[:4]] == [one <= number for one in range(4)]
            # Two each: nobody has more than the next caller would have.
            with pytest.raises(Busy):
                stack.enter_context(followers.join(clients[6], "few"))
            stack.enter_context(followers.join(clients[6], "third"))
            assert [one.is_over for one in clients] == [True, True, True, False, False, False, False]
            assert len(followers.callers) == 4
        assert not followers.callers
        for client in clients:
            await client.close()

    asyncio.run(scenario())
