"""The messages that a worker sends to its supervisor, one byte each."""

READY = b"+"
"""The worker can take connections."""
CLOSED = b"-"
"""One of the worker's connections has ended."""
DRAINING = b"!"
"""The worker takes no more connections."""
ALIVE = b"~"
"""The worker's event loop runs; sent every `ALIVE_SECONDS` between `READY` and `DRAINING`."""
ALIVE_SECONDS = 1.0
