"""Opens the deployment or the stores that a command works on itself: a data directory or the AWS account."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from afterglow.deployment.base import Deployment, NullQueue
from afterglow.deployment.local import open_local
from afterglow.errors import InvalidArgument
from afterglow.settings import Settings, System
from afterglow.storage.ports import Stores

if TYPE_CHECKING:
    from afterglow.deployment.aws import RecoveryReport


def open_deployment(path: Path | None, settings: Settings, system: System, *, read_only: bool = False) -> Deployment:
    """The data directory `path`, or (None) the AWS account that the settings name.

    With `read_only` nothing in the directory is created or changed. Raises Corrupt, StorageFull, Unavailable,
    InvalidArgument.
    """
    if path is not None:
        return open_local(path, system, read_only=read_only)
    with _require_aws():
        from afterglow.deployment.aws import open_aws

    return open_aws(settings, system)


def recover_aws(settings: Settings, system: System, moment: float) -> "RecoveryReport":
    """Bring the account to the moment (Unix seconds) to which its table was restored.

    Raises InvalidArgument, Unavailable, StorageFull.
    """
    with _require_aws():
        from afterglow.deployment.aws import recover

    return recover(settings, system, moment)


def delete_old_versions(settings: Settings, system: System, prefix: str, until: float) -> int:
    """Delete what the account's bucket has of objects that were deleted by `until` (Unix seconds); how many versions.

    Raises InvalidArgument, Unavailable, StorageFull.
    """
    with _require_aws():
        from afterglow.deployment import aws

    return aws.delete_old_versions(settings, system, prefix, until)


@contextmanager
def _require_aws() -> Iterator[None]:
    """Raise InvalidArgument if a package is missing that an AWS account requires."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise InvalidArgument(
            f"{missing} is not installed, but an AWS account requires it: pip install 'afterglow-db[aws]'"
        ) from None


@contextmanager
def open_stores(
    path: Path | None, settings: Settings, system: System, *, notify: bool = False, read_only: bool = False
) -> Iterator[Stores]:
    """A context with the stores of the data directory `path`, or (None) of the AWS account.

    With `notify` an indexer that runs elsewhere is notified of writes. With `read_only` nothing in the directory is
    created or changed. Raises Corrupt, StorageFull, Unavailable, InvalidArgument.
    """
    deployment = open_deployment(path, settings, system, read_only=read_only)
    stores = deployment.stores(settings, system, (deployment.queue if notify else None) or NullQueue())
    try:
        yield stores
    finally:
        stores.table.close()
