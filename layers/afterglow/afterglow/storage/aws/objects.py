"""The Objects port over an S3 bucket, with a disk cache (`storage.aws.disk_cache`, `storage.aws.transfer`).

* A put is atomic, and visible to every read that starts after it: S3 guarantees both. S3 verifies the checksum that
  botocore sends with the data.
* `if_absent` is S3's `If-None-Match: *`. S3 may reject concurrent writers with 409: they retry. When the response to a
  put is lost and botocore repeats it, the second attempt finds the object of the first and raises ConditionFailed;
  callers for which that matters compare the object.
* `need` reads ranges (`storage.aws.range_cache`) and requests them on condition that the object is still the same
  version.
* `local_path` downloads once and then returns the cached copy, even after the object's deletion: the object of a key
  never changes. `put` and `delete` of the same process remove the copy.
* `upload` moves the temporary file into the cache, so the writer of a segment need not download it. *Crash before the
  object is stored: a temporary file that the next process removes. After: the object is stored but not cached.*

The role needs `s3:ListBucket` even if nothing is listed: without it S3 returns 403 for a missing object.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

from afterglow.errors import InvalidArgument, StorageFull, Unavailable
from afterglow.settings import System
from afterglow.storage.aws import transfer
from afterglow.storage.aws.clients import Clients, time_of
from afterglow.storage.aws.disk_cache import Allocate, DiskCache
from afterglow.storage.aws.error_mapping import code_of, map_errors
from afterglow.storage.aws.range_cache import RangeCache, RemoteFile
from afterglow.storage.aws.transfer import S3Object
from afterglow.storage.ports import Bytes, ConditionFailed, LazyFile, ObjectInfo, ObjectNotFound, Ranges

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import DeleteTypeDef, ListObjectsV2RequestTypeDef, PutObjectRequestTypeDef

T = TypeVar("T")

_MISSING = {"NoSuchKey", "404"}
_RACES = {"ConditionalRequestConflict", "OperationAborted"}
_EXISTS = {"PreconditionFailed", "412"}
_ATTEMPTS = 6
_PARALLEL_READS = 6
_DELETE_BATCH = 1000
_INVALID_PATH_SEGMENTS = ("", ".", "..", ".scratch")


class S3Objects:
    """Objects in the existing bucket `bucket`."""

    evicts = True

    def __init__(self, clients: Clients, bucket: str, cache: DiskCache, system: System) -> None:
        self._clients = clients
        self._bucket = bucket
        self._cache = cache
        self._system = system
        self._ranges = RangeCache(cache, lambda spans: clients.object_reader(bucket).read_spans(spans), self._name)

    def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        """Store a small object."""
        request: PutObjectRequestTypeDef = {"Bucket": self._bucket, "Key": _checked(key), "Body": bytes(data)}
        if if_absent:
            request["IfNoneMatch"] = "*"
        self._call(key, lambda: self._clients.s3.put_object(**request))
        self.invalidate(key)

    def temporary_path(self, name: str) -> Path:
        """Return a path for a new file to be passed to `upload`."""
        return self._cache.temporary_path(name)

    def upload(self, key: str, path: Path) -> None:
        """Store the file at `path` as the object `key`, and move it into the cache."""
        s3_object = self._object(key)

        def store() -> None:
            with path.open("rb") as file:
                size = path.stat().st_size
                if size < transfer.MULTIPART_FROM:
                    s3_object.s3.put_object(**s3_object.names, Body=file)
                else:
                    transfer.upload(s3_object, file.fileno(), size)

        self._call(key, store)
        self._cache.insert(self._name(key), path)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the object's bytes, or a range of them."""
        if not start and length is None:
            (data,) = self._read([key])
            if data is None:
                raise ObjectNotFound(f"object {key} does not exist")
            return data
        s3_object = self._object(key)
        end = "" if length is None else str(start + max(length, 1) - 1)
        try:
            return self._call(key, lambda: transfer.read(s3_object, Range=f"bytes={start}-{end}"))[:length]
        except _RangeNotSatisfiable:
            return b""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the bytes of each object, None for a missing one; reads in parallel."""
        return self._read(keys)

    def _read(self, keys: Sequence[str]) -> list[bytes | None]:
        return self._clients.object_reader(self._bucket).read_objects([_checked(key) for key in keys])

    def prefetch(self, keys: Sequence[str]) -> None:
        """Download objects that are not cached, in parallel. A full cache is no error here: `local_path` raises it."""
        transfer.run_parallel([partial(self._prefetch_one, key) for key in keys], _PARALLEL_READS)

    def _prefetch_one(self, key: str) -> None:
        try:
            self.local_path(key)
        except (ObjectNotFound, StorageFull):
            pass

    def local_path(self, key: str) -> Path:
        """Return the cached copy of the object, downloading it if there is none."""
        _checked(key)

        def fill(allocate: Allocate) -> None:
            self._call(key, lambda: transfer.download(self._object(key), allocate))

        return self._cache.file(self._name(key), fill)

    def lazy(self, key: str, size: int) -> RemoteFile:
        """The file of this key, of which nothing is requested yet."""
        return self._ranges.open(_checked(key), size)

    def need(self, requested: Sequence[tuple[LazyFile, Ranges]]) -> list[Bytes]:
        """Bring in what is missing of the ranges and return the bytes of each file."""
        return self._ranges.need(requested)

    def reserve_space(self) -> None:
        """Do nothing: a bucket does not fill up."""

    def release_space(self) -> bool:
        """Return False: a bucket does not fill up."""
        return False

    def invalidate(self, key: str) -> bool:
        """Remove the cached copy; the object may be intact."""
        self._ranges.forget(key)
        self._cache.invalidate(self._name(key))
        return True

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Iterate over the objects whose key starts with `prefix` and is greater than `after`, in ascending order."""
        request: ListObjectsV2RequestTypeDef = {"Bucket": self._bucket, "Prefix": prefix}
        if after:
            request["StartAfter"] = after
        while True:
            page = self._call(prefix, partial(self._clients.s3.list_objects_v2, **request))
            now = time_of(page) or self._system.now()
            for entry in page.get("Contents", []):
                modified = entry["LastModified"].timestamp()
                yield ObjectInfo(entry["Key"], entry["Size"], modified, now - modified)
            if not page["IsTruncated"]:
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        """Remove the object and its cached copy."""
        self._call(_checked(key), lambda: self._clients.s3.delete_object(Bucket=self._bucket, Key=key))
        self.invalidate(key)

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove the objects and their cached copies, a thousand per request."""
        for start in range(0, len(keys), _DELETE_BATCH):
            page = keys[start : start + _DELETE_BATCH]
            request: DeleteTypeDef = {"Objects": [{"Key": _checked(key)} for key in page], "Quiet": True}
            response = self._call("", partial(self._clients.s3.delete_objects, Bucket=self._bucket, Delete=request))
            for error in response.get("Errors", []):
                raise Unavailable(f"object {error.get('Key')} was not deleted: {error.get('Message')}")
            for key in page:
                self.invalidate(key)

    def _name(self, key: str) -> str:
        return f"{self._bucket}/{key}"

    def _object(self, key: str) -> S3Object:
        return S3Object(self._clients.s3, self._bucket, _checked(key))

    def _call(self, key: str, send: Callable[[], T]) -> T:
        """Send, again while S3 reports a concurrent write to the same key."""
        with map_errors(f"bucket {self._bucket}"):
            for attempt in range(_ATTEMPTS):
                try:
                    return send()
                except ClientError as error:
                    code = code_of(error)
                    if code in _MISSING:
                        raise ObjectNotFound(f"object {key} does not exist") from None
                    if code in _EXISTS:
                        raise ConditionFailed(f"object {key} already exists") from None
                    if code == transfer.NO_RANGE:
                        raise _RangeNotSatisfiable from None
                    if code not in _RACES or attempt == _ATTEMPTS - 1:
                        raise
                self._clients.pause(attempt)
        raise AssertionError("unreachable")


class _RangeNotSatisfiable(Exception):
    """The range starts after the last byte of the object."""


def _checked(key: str) -> str:
    if any(name in _INVALID_PATH_SEGMENTS for name in key.split("/")):
        raise InvalidArgument(f"not an object key: {key!r}")
    return key
