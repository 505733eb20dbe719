"""The speed at which a client reads responses.

A response that is not read stays in memory. So while a response is in the transport's buffer, the client must take at
least `MIN_BYTES_PER_SECOND` on average over each period, or the connection is aborted and the buffer freed. Bytes in
the kernel's send buffer count as not yet taken: the kernel makes room in large steps, so the transport's buffer alone
would show no progress of a slow but steady client for minutes.
"""

import asyncio
import fcntl
import struct
import sys
import termios

MIN_BYTES_PER_SECOND = 1024
"""The average speed that a request body or a response must have over each `client_timeout_seconds`."""


class ResponseProgress:
    """Watches the responses of one connection; `seconds` is the length of a period."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._transport = transport
        self._loop = loop
        self._seconds = seconds
        self._pending_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def start_period(self) -> None:
        """A response was written: a new period begins."""
        self.stop()
        if self._transport.get_write_buffer_size():
            self._pending_bytes = self._count_pending()
            self._timer = self._loop.call_later(self._seconds, self._end_period)

    def stop(self) -> None:
        """End the watch."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_period(self) -> None:
        self._timer = None
        if not self._transport.get_write_buffer_size():
            return
        if self._pending_bytes - self._count_pending() < MIN_BYTES_PER_SECOND * self._seconds:
            self._transport.abort()
        else:
            self.start_period()

    def _count_pending(self) -> int:
        """Bytes of responses that the client has not acknowledged."""
        return self._transport.get_write_buffer_size() + _kernel_bytes(self._transport)


def _kernel_bytes(transport: asyncio.Transport) -> int:
    """Bytes in the kernel's send buffer; 0 if unknown."""
    sock = transport.get_extra_info("socket")
    if sys.platform != "linux" or sock is None:
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0
