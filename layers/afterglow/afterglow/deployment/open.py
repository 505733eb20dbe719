"""The stores that a command works on itself: those of a directory, or of the account."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from afterglow.deployment.base import Deployment, NullQueue
from afterglow.deployment.local import open_local
from afterglow.errors import InvalidArgument
from afterglow.settings import Settings, System
from afterglow.storage.ports import Stores


def open_deployment(path: Path | None, settings: Settings, system: System) -> Deployment:
    """The directory of this path, or (None) the AWS account that the settings name.

    Raises Corrupt, StorageFull, Unavailable, InvalidArgument.
    """
    if path is not None:
        return open_local(path, system)
    try:
        from afterglow.deployment.aws import open_aws
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise InvalidArgument(
            f"{missing} is not installed, which an AWS account needs: pip install 'afterglow-db[aws]'"
        ) from None

    return open_aws(settings, system)


@contextmanager
def open_stores(path: Path | None, settings: Settings, system: System, *, notify: bool = False) -> Iterator[Stores]:
    """The stores of the data directory `path`, or (None) of the AWS account, for the length of the block.

    With `nudging` an indexer that runs elsewhere is told of what is written. Raises Corrupt, StorageFull, Unavailable,
    InvalidArgument.
    """
    place = open_deployment(path, settings, system)
    stores = place.stores(settings, system, (place.queue if notify else None) or NullQueue())
    try:
        yield stores
    finally:
        stores.table.close()
