"""The head of a response leaves with its body, and never stays behind."""

import asyncio
import inspect
import re
from typing import cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from afterglow.server.joined_writes import JoinedWrites


class Recorder:
    """A transport that records what is done to it."""

    def __init__(self) -> None:
        self.calls: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.calls.append(bytes(data))

    def close(self) -> None:
        self.calls.append("close")

    def is_closing(self) -> bool:
        return "close" in self.calls


def _record(*steps: bytes | str) -> list[bytes | str]:
    """What the transport gets of these writes; `turn` lets the event loop run, `close` closes the transport."""
    transport = Recorder()

    async def run() -> None:
        writes = JoinedWrites(cast(asyncio.Transport, transport), asyncio.get_running_loop())
        for step in steps:
            if isinstance(step, bytes):
                writes.write(step)
            elif step == "turn":
                await asyncio.sleep(0)
            else:
                writes.close()
        await asyncio.sleep(0)

    asyncio.run(run())
    return transport.calls


def test_head_and_body_are_one_write() -> None:
    assert _record(b"head", b"body") == [b"headbody"]


def test_pieces_after_the_first_are_not_held() -> None:
    assert _record(b"head", b"one", b"two", b"three") == [b"headone", b"two", b"three"]


def test_a_head_without_a_body_leaves_in_the_next_turn() -> None:
    assert _record(b"head") == [b"head"]
    assert _record(b"head", "turn", b"event", b"event") == [b"head", b"event", b"event"]


def test_closing_writes_the_head_first() -> None:
    assert _record(b"head", "close") == [b"head", "close"]


def test_a_request_finds_every_method_of_the_transport_that_it_calls() -> None:
    called = set(re.findall(r"self\.transport\.(\w+)", inspect.getsource(RequestResponseCycle)))
    assert called <= {name for name in vars(JoinedWrites) if not name.startswith("_")}
