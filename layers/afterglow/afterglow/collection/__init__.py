"""Replica, planner and write path: the one place that knows what add, upsert, update, delete, get and query mean."""

from afterglow.collection.engine import Engine
from afterglow.log.batch import Batch, Op

__all__ = ["Batch", "Engine", "Op"]
