"""Where dumps are stored, outside of any deployment: a directory, or a prefix of a bucket."""

from pathlib import Path

from afterglow.errors import InvalidArgument, NotFound
from afterglow.settings import Settings, System
from afterglow.storage.local.objects import DirectoryObjects
from afterglow.storage.ports import Objects

_S3 = "s3://"


def open_backup_target(address: str, settings: Settings, system: System, *, create: bool) -> tuple[Objects, str]:
    """The objects of `address`, a directory or `s3://bucket/prefix`, and the prefix, which ends in a slash or is empty.

    With `create` a missing directory is created. Raises NotFound, InvalidArgument, StorageFull, Unavailable.
    """
    if address.startswith(_S3):
        bucket, _, prefix = address.removeprefix(_S3).partition("/")
        if not bucket:
            raise InvalidArgument(f"expected s3://bucket/prefix, got {address!r}")
        prefix = prefix.strip("/")
        return _bucket(bucket, settings, system), f"{prefix}/" if prefix else ""
    path = Path(address)
    if not create and not path.is_dir():
        raise NotFound(f"{address}: no such directory")
    return DirectoryObjects(path, system), ""


def _bucket(bucket: str, settings: Settings, system: System) -> Objects:
    try:
        from afterglow.deployment.aws import open_bucket
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise InvalidArgument(
            f"{missing} is not installed, but a bucket requires it: pip install 'afterglow-db[aws]'"
        ) from None

    return open_bucket(bucket, settings, system)
