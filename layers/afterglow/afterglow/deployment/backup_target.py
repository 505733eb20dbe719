"""Where copies are kept, outside of any place of ours: a directory, or a prefix of a bucket."""

from pathlib import Path

from afterglow.errors import InvalidArgument, NotFound
from afterglow.settings import Settings, System
from afterglow.storage.local.objects import DirectoryObjects
from afterglow.storage.ports import Objects

_S3 = "s3://"


def open_backup_target(where: str, settings: Settings, system: System, *, create: bool) -> tuple[Objects, str]:
    """The objects of `where`, a directory or `s3://bucket/prefix`, and the prefix, which ends in a slash or is empty.

    A directory is made with `make`. Raises NotFound, InvalidArgument, StorageFull, Unavailable.
    """
    if where.startswith(_S3):
        bucket, _, prefix = where.removeprefix(_S3).partition("/")
        if not bucket:
            raise InvalidArgument(f"expected s3://bucket/prefix, got {where!r}")
        prefix = prefix.strip("/")
        return _bucket(bucket, settings, system), f"{prefix}/" if prefix else ""
    path = Path(where)
    if not create and not path.is_dir():
        raise NotFound(f"{where}: there is no such directory")
    return DirectoryObjects(path, system), ""


def _bucket(bucket: str, settings: Settings, system: System) -> Objects:
    try:
        from afterglow.deployment.aws import open_bucket
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise InvalidArgument(
            f"{missing} is not installed, which a bucket needs: pip install 'afterglow-db[aws]'"
        ) from None

    return open_bucket(bucket, settings, system)
