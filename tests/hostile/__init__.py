"""A server under attack, and an honest client that must not notice: `python -m tests.hostile --seconds 600`."""
