"""Reading bodies, message by message."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.types import Message

from afterglow.api.http.body import ClientGone, read_body, require_json
from afterglow.api.http.errors import TooSlow, UnsupportedMediaType
from afterglow.errors import TooLarge


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


END: Message = {"type": "http.request"}
GONE: Message = {"type": "http.disconnect"}


class Feed:
    """Hands out messages, then hangs."""

    def __init__(self, *messages: Message) -> None:
        self.left = list(messages)

    async def __call__(self) -> Message:
        if not self.left:
            await asyncio.sleep(60)
        return self.left.pop(0)


def read(feed: Feed, *headers: tuple[bytes, bytes], limit: int = 10, seconds: float = 5.0, total: float = 5.0) -> bytes:
    return asyncio.run(read_body(feed, headers, limit, chunk_seconds=seconds, total_seconds=total))


def test_whole_and_in_pieces() -> None:
    assert read(Feed(piece(b"0123456789", more=False))) == b"0123456789"
    assert read(Feed(piece(b"01234"), piece(b""), piece(b"56789"), END)) == b"0123456789"
    assert read(Feed(END)) == b""


def test_too_large_in_one_piece() -> None:
    with pytest.raises(TooLarge, match=r"^Payload too large: the body has 11 bytes, at most 10 are accepted$"):
        read(Feed(piece(b"x" * 11, more=False)))


def test_what_to_do_about_it() -> None:
    feed = Feed(piece(b"x" * 11, more=False))
    with pytest.raises(TooLarge, match=r", at most 10 are accepted; eat less$"):
        asyncio.run(read_body(feed, [], 10, "eat less"))


def test_too_large_in_pieces_is_read_to_its_end() -> None:
    feed = Feed(piece(b"x" * 8), piece(b"x" * 8), piece(b"x" * 8), END)
    with pytest.raises(
        TooLarge, match=r"^Payload too large: the body has more than 10 bytes, at most 10 are accepted$"
    ):
        read(feed)
    assert not feed.left


def test_far_too_large_is_not_read_to_its_end() -> None:
    feed = Feed(*[piece(b"x" * 10) for _ in range(100)])
    with pytest.raises(TooLarge):
        read(feed)
    assert 80 < len(feed.left) < 95


def test_a_declared_length_is_enough() -> None:
    for size, unread in ((11, 1), (81, 2)):
        feed = Feed(piece(b"x" * 11), END)
        with pytest.raises(TooLarge, match=f"^Payload too large: the body has {size} bytes"):
            read(feed, (b"content-length", str(size).encode()))
        assert len(feed.left) == unread
    feed = Feed(piece(b"x" * 11), END)
    with pytest.raises(TooLarge):
        read(feed, (b"content-length", b"11"), (b"expect", b"100-continue"))
    assert len(feed.left) == 2


def test_pieces_that_do_not_come() -> None:
    for feed in (Feed(), Feed(piece(b"x"))):
        with pytest.raises(TooSlow):
            read(feed, seconds=0.05)
    with pytest.raises(TooSlow):
        read(Feed(piece(b"x" * 11)), seconds=0.05)


def test_pieces_that_come_too_slowly() -> None:
    class Dripping(Feed):
        async def __call__(self) -> Message:
            await asyncio.sleep(0.02)
            return piece(b"")

    with pytest.raises(TooSlow):
        read(Dripping(), seconds=1.0, total=0.2)


@pytest.mark.parametrize("before", [[], [piece(b"x")], [piece(b"x" * 11)]])
def test_a_client_that_leaves(before: list[Message]) -> None:
    with pytest.raises(ClientGone):
        read(Feed(*before, GONE))


@pytest.mark.parametrize(
    "kind", [b"application/json", b"application/json ; x=y", b"Application/JSON", b"application/a+json"]
)
def test_json(kind: bytes) -> None:
    require_json([(b"content-type", kind)])


@pytest.mark.parametrize(
    "kind", [b"", b"text/plain", b"json", b"text/a+json", b"multipart/form-data; application/json"]
)
def test_other_types(kind: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        require_json([(b"accept", b"x"), (b"content-type", kind)])


def test_no_type_is_json() -> None:
    require_json([(b"accept", b"text/plain")])
    check: Callable[[list[tuple[bytes, bytes]]], None] = require_json
    check([])
