"""Replica, planner and write path: the only package that defines what add, upsert, update, delete, get, query mean."""

from afterglow.collection.engine import Engine
from afterglow.log.batch import Batch, Op

__all__ = ["Batch", "Engine", "Op"]
