"""The messages that a worker sends to its supervisor, one byte each."""

READY = b"+"
"""The worker can take connections."""
CLOSED = b"-"
"""One of the worker's connections has ended."""
DRAINING = b"!"
"""The worker takes no more connections."""
