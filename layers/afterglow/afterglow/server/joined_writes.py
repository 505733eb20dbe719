"""Writes the head of a response together with the first part of its body.

uvicorn writes them one after the other: two calls of the kernel, and a client that wakes up twice. The head waits for
the body at most until the next turn of the event loop, so a response that has no body yet is not delayed.
"""

import asyncio


class JoinedWrites:
    """The transport of one request. Only its first write is held back."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None
        self._flush_later: asyncio.Handle | None = None
        self._has_written = False

    def write(self, data: bytes | memoryview) -> None:
        """Write the data, or hold it if it is the first."""
        if not self._has_written:
            self._has_written = True
            self._head = bytes(data)
            self._flush_later = self._loop.call_soon(self.flush)
        elif self._head is None:
            self._transport.write(data)
        else:
            head = self._take_head()
            self._transport.write(b"".join((head, data)))

    def flush(self) -> None:
        """Write what is held."""
        if self._head is not None:
            self._transport.write(self._take_head())

    def close(self) -> None:
        """Write what is held, and close the transport."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the transport is closing."""
        return self._transport.is_closing()

    def _take_head(self) -> bytes:
        head, self._head = self._head or b"", None
        if self._flush_later is not None:
            self._flush_later.cancel()
            self._flush_later = None
        return head
