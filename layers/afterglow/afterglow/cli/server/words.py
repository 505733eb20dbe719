"""What a worker tells its supervisor, a byte each."""

READY = b"+"
"""It can take connections."""
CLOSED = b"-"
"""One of its connections has ended."""
LEAVING = b"!"
"""It takes no more."""
