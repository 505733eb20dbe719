"""Replica, planner and write path: the one place that knows what add, upsert, update, delete, get and query mean."""

from afterglow.collection.engine import Engine

__all__ = ["Engine"]
