"""Deletions on a full disk: ordinary writes leave a reserve of space that only deletions may use (`storage.ports`)."""

from collections.abc import Callable
from typing import TypeVar

from afterglow.errors import StorageFull
from afterglow.storage.ports import Stores

T = TypeVar("T")


def with_reserved_space(stores: Stores, delete: Callable[[], T]) -> T:
    """The result of `delete`, which is called again after the reserve was given up, if it raises StorageFull.

    The first call has left nothing: a write that finds no space is rolled back.
    """
    try:
        return delete()
    except StorageFull:
        if not stores.objects.release_space():
            raise
        return delete()
