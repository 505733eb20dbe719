"""The stores that a command works on itself: those of a directory, or of the account."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from afterglow.jobs import open as opening
from afterglow.jobs.place import NoQueue
from afterglow.settings import Ambient, Settings
from afterglow.storage.stores import Stores


@contextmanager
def opened(path: Path | None, settings: Settings, ambient: Ambient, *, nudging: bool = False) -> Iterator[Stores]:
    """The stores of the data directory `path`, or (None) of the AWS account, for the length of the block.

    With `nudging` an indexer that runs elsewhere is told of what is written. Raises Corrupt, StorageFull, Unavailable,
    InvalidArgument.
    """
    place = opening.open_place(path, settings, ambient)
    stores = place.stores(settings, ambient, (place.queue if nudging else None) or NoQueue())
    try:
        yield stores
    finally:
        stores.table.close()
