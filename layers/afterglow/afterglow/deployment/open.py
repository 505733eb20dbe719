"""The stores that a command works on itself: those of a directory, or of the account."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from afterglow.deployment.base import NoQueue, Place
from afterglow.deployment.local import open_directory
from afterglow.errors import InvalidArgument
from afterglow.settings import Ambient, Settings
from afterglow.storage.ports import Stores


def open_place(path: Path | None, settings: Settings, ambient: Ambient) -> Place:
    """The directory of this path, or (None) the AWS account that the settings name.

    Raises Corrupt, StorageFull, Unavailable, InvalidArgument.
    """
    if path is not None:
        return open_directory(path, ambient)
    try:
        from afterglow.deployment.aws import open_account
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise InvalidArgument(
            f"{missing} is not installed, which an AWS account needs: pip install 'afterglow[aws]'"
        ) from None

    return open_account(settings, ambient)


@contextmanager
def opened(path: Path | None, settings: Settings, ambient: Ambient, *, nudging: bool = False) -> Iterator[Stores]:
    """The stores of the data directory `path`, or (None) of the AWS account, for the length of the block.

    With `nudging` an indexer that runs elsewhere is told of what is written. Raises Corrupt, StorageFull, Unavailable,
    InvalidArgument.
    """
    place = open_place(path, settings, ambient)
    stores = place.stores(settings, ambient, (place.queue if nudging else None) or NoQueue())
    try:
        yield stores
    finally:
        stores.table.close()
