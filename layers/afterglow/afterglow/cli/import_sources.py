"""The files that a command imports: a path, a directory, or objects of a bucket."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from afterglow.errors import InvalidArgument, NotFound
from afterglow.settings import Settings, System

if TYPE_CHECKING:
    from afterglow.bulk.sources import Source

_S3 = "s3://"


def list_sources(name: str, settings: Settings, system: System) -> "Iterator[Source]":
    """The files to import of a path, a directory or an S3 address. Raises NotFound, InvalidArgument, OSError."""
    from afterglow.bulk.formats.detect import NPY
    from afterglow.bulk.formats.npy import companion_of
    from afterglow.bulk.sources import file_source

    if name.startswith(_S3):
        yield from _list_objects(name, settings, system)
        return
    path = Path(name)
    if path.is_dir():
        next(path.iterdir(), None)  # `rglob` finds nothing in a folder that may not be read
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and _is_importable(file.name)]
        files += [file for file in sorted(path.rglob(f"*{NPY}")) if file.is_file() and _is_alone(file)]
        if not files:
            raise NotFound(f"{name}: no file in this directory can be imported")
        for file in files:
            source = file_source(file, file.relative_to(path).as_posix())
            if source is not None:
                yield source
        return
    source = file_source(path)
    if source is None:
        raise NotFound(f"{name}: no such file")
    yield companion_of(source) or source if source.name.endswith(NPY) else source


def _is_alone(file: Path) -> bool:
    """Whether no JSON Lines belong to a `.npy` file."""
    from afterglow.bulk.formats.npy import companion_of
    from afterglow.bulk.sources import file_source

    source = file_source(file)
    return source is not None and companion_of(source) is None


def _list_objects(address: str, settings: Settings, system: System) -> "Iterator[Source]":
    """The objects to import of `s3://bucket/key` or of a prefix."""
    from afterglow.bulk.sources import object_source

    try:
        from afterglow.storage.aws.clients import Clients
        from afterglow.storage.aws.disk_cache import DiskCache
        from afterglow.storage.aws.objects import S3Objects
    except ModuleNotFoundError:
        raise InvalidArgument('s3:// addresses need boto3: pip install "afterglow-db[aws]"') from None
    bucket, _, prefix = address.removeprefix(_S3).partition("/")
    cache = DiskCache(Path(settings.cache_dir), settings.cache_max_bytes, system)
    objects = S3Objects(Clients(system), bucket, cache, system)
    root = prefix if prefix.endswith("/") else f"{prefix.rpartition('/')[0]}/".removeprefix("/")
    keys = [info.key for info in objects.list(prefix) if _is_importable(info.key)]
    keys = [key for key in keys if key == prefix] or [key for key in keys if key.startswith(root or prefix)]
    if not keys:
        raise NotFound(f"{address}: no object there can be imported")
    for key in keys:
        source = object_source(objects, system, key, root)
        if source is not None:
            yield source


def _is_importable(name: str) -> bool:
    from afterglow.bulk.formats.detect import detect_format, is_auxiliary

    return not is_auxiliary(name) and detect_format(name) is not None
