"""The Objects port over an S3 bucket, with copies on the local disk (`storage.aws.disk_cache`, `storage.aws.transfer`).

* A put is whole or not at all, and every read that begins after it sees it: S3 promises both. The checksum that
  botocore sends along is verified by S3.
* `if_absent` is S3's `If-None-Match: *`. Of racing writers S3 may answer some by 409: they try again. A put whose
  answer is lost and that botocore repeats finds its own object, and is told ConditionFailed: whoever must know looks.
* `local_file` downloads once and then serves the copy, also when the object is gone: objects never change under a key.
  This process's own `put` and `delete` drop the copy.
* `upload` makes the scratch file the copy, so that who wrote a segment need not download it.
  *Crash before the object is stored: a scratch file that the next process removes. After: it is stored, not cached.*

The role needs `s3:ListBucket` also where nothing is listed: without it S3 says 403 of an object that is missing.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

from afterglow.errors import InvalidArgument, StorageFull, Unavailable
from afterglow.settings import System
from afterglow.storage.aws import transfer
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.disk_cache import Allocate, DiskCache
from afterglow.storage.aws.error_mapping import code_of, map_errors
from afterglow.storage.aws.transfer import S3Object
from afterglow.storage.ports import ConditionFailed, ObjectInfo, ObjectNotFound

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import DeleteTypeDef, ListObjectsV2RequestTypeDef, PutObjectRequestTypeDef

T = TypeVar("T")

_MISSING = {"NoSuchKey", "404"}
_RACES = {"ConditionalRequestConflict", "OperationAborted"}
_EXISTS = {"PreconditionFailed", "412"}
_ATTEMPTS = 6
_SIDE_BY_SIDE = 6
_DELETED_AT_ONCE = 1000
_NEVER_KEYS = ("", ".", "..", ".scratch")


class S3Objects:
    """Objects in the bucket called `bucket`, which must be there."""

    def __init__(self, clients: Clients, bucket: str, cache: DiskCache, system: System) -> None:
        self._clients = clients
        self._bucket = bucket
        self._cache = cache
        self._system = system

    def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        """Store a small object."""
        asked: PutObjectRequestTypeDef = {"Bucket": self._bucket, "Key": _checked(key), "Body": bytes(data)}
        if if_absent:
            asked["IfNoneMatch"] = "*"
        self._call(key, lambda: self._clients.s3.put_object(**asked))
        self._cache.invalidate(self._name(key))

    def temporary_path(self, name: str) -> Path:
        """A path to write an object's file to before `upload`."""
        return self._cache.scratch(name)

    def upload(self, key: str, path: Path) -> None:
        """Make the file at `path` the object `key`, and the copy of it here."""
        place = self._object(key)

        def store() -> None:
            with path.open("rb") as file:
                size = path.stat().st_size
                if size < transfer.MULTIPART_FROM:
                    place.s3.put_object(**place.names, Body=file)
                else:
                    transfer.upload(place, file.fileno(), size)

        self._call(key, store)
        self._cache.insert(self._name(key), path)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes, or a range of them."""
        place = self._object(key)
        if not start and length is None:
            return self._call(key, lambda: transfer.read(place))
        end = "" if length is None else str(start + max(length, 1) - 1)
        try:
            return self._call(key, lambda: transfer.read(place, Range=f"bytes={start}-{end}"))[:length]
        except _RangeNotSatisfiable:
            return b""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes of each object, None where there is none, side by side."""
        return transfer.run_parallel([partial(self._get_or_none, key) for key in keys], _SIDE_BY_SIDE)

    def _get_or_none(self, key: str) -> bytes | None:
        try:
            return self.get(key)
        except ObjectNotFound:
            return None

    def prefetch(self, keys: Sequence[str]) -> None:
        """Download what is not here yet, side by side; room that is missing will be told by `local_file`."""
        transfer.run_parallel([partial(self._fetch_one, key) for key in keys], _SIDE_BY_SIDE)

    def _fetch_one(self, key: str) -> None:
        try:
            self.local_path(key)
        except (ObjectNotFound, StorageFull):
            pass

    def local_path(self, key: str) -> Path:
        """A copy of the object, downloaded where there is none yet."""
        _checked(key)

        def fill(begin: Allocate) -> None:
            self._call(key, lambda: transfer.download(self._object(key), begin))

        return self._cache.file(self._name(key), fill)

    def invalidate(self, key: str) -> bool:
        """Drop the copy; the object may be sound."""
        self._cache.invalidate(self._name(key))
        return True

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, ascending by key."""
        asked: ListObjectsV2RequestTypeDef = {"Bucket": self._bucket, "Prefix": prefix}
        while True:
            page = self._call(prefix, partial(self._clients.s3.list_objects_v2, **asked))
            for found in page.get("Contents", []):
                yield ObjectInfo(found["Key"], found["Size"], found["LastModified"].timestamp())
            if not page["IsTruncated"]:
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        """Remove the object, and the copy of it here."""
        self._call(_checked(key), lambda: self._clients.s3.delete_object(Bucket=self._bucket, Key=key))
        self._cache.invalidate(self._name(key))

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove the objects, and the copies of them here, a thousand at a time."""
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            page = keys[start : start + _DELETED_AT_ONCE]
            asked: DeleteTypeDef = {"Objects": [{"Key": _checked(key)} for key in page], "Quiet": True}
            answer = self._call("", partial(self._clients.s3.delete_objects, Bucket=self._bucket, Delete=asked))
            for error in answer.get("Errors", []):
                raise Unavailable(f"object {error.get('Key')} was not deleted: {error.get('Message')}")
            for key in page:
                self._cache.invalidate(self._name(key))

    def _name(self, key: str) -> str:
        return f"{self._bucket}/{key}"

    def _object(self, key: str) -> S3Object:
        return S3Object(self._clients.s3, self._bucket, _checked(key))

    def _call(self, key: str, send: Callable[[], T]) -> T:
        """Send, again where S3 says that somebody else was writing the same key."""
        with map_errors(f"bucket {self._bucket}"):
            for attempt in range(_ATTEMPTS):
                try:
                    return send()
                except ClientError as error:
                    code = code_of(error)
                    if code in _MISSING:
                        raise ObjectNotFound(f"object {key} is not there") from None
                    if code in _EXISTS:
                        raise ConditionFailed(f"object {key} is already there") from None
                    if code == transfer.NO_RANGE:
                        raise _RangeNotSatisfiable from None
                    if code not in _RACES or attempt == _ATTEMPTS - 1:
                        raise
                self._clients.pause(attempt)
        raise AssertionError("unreachable")


class _RangeNotSatisfiable(Exception):
    """A range that begins behind the last byte."""


def _checked(key: str) -> str:
    if any(part in _NEVER_KEYS for part in key.split("/")):
        raise InvalidArgument(f"not an object key: {key!r}")
    return key
