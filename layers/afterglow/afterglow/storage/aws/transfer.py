"""Transfer of large objects: parallel ranges and parts, on a few threads that live as long as the transfer.

**Download**: the response to the first range has the size (Content-Range) and the ETag; the other ranges are requested
on condition that the object still has that ETag (`If-Match`). A broken range resumes at the byte where it stopped. Each
must deliver exactly its bytes, otherwise the download fails and the caller discards the file. So it does when the
request's time is over (`deadline`).

**Upload** of a file of 64 MB or more: create, upload the parts, complete.
*Crash before the last step: invisible parts, which the bucket's lifecycle rule removes.* When the response to the last
step is lost, the existing object shows that it succeeded.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError, HTTPClientError, IncompleteReadError

from afterglow.deadline import seconds_left
from afterglow.errors import Unavailable
from afterglow.storage.aws.disk_cache import Allocate
from afterglow.storage.aws.error_mapping import code_of

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

T = TypeVar("T")

RANGE_BYTES = 8 * 1024 * 1024
PART_BYTES = 16 * 1024 * 1024
MULTIPART_FROM = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
_DOWNLOADERS = 8
_UPLOADERS = 4
_ATTEMPTS = 3
_ANY_TIME = float("inf")
NO_RANGE = "InvalidRange"
_CHANGED = "PreconditionFailed"
_BROKEN = (HTTPClientError, IncompleteReadError, FlexibleChecksumError)
"""Raised while reading a body: the connection broke, stalled or ended early, or the bytes do not match a checksum."""


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object in a bucket, and the client for it."""

    s3: "S3Client"
    bucket: str
    key: str

    @property
    def names(self) -> dict[str, Any]:
        """The parameters of a request that name the object."""
        return {"Bucket": self.bucket, "Key": self.key}


def read(s3_object: S3Object, **conditions: Any) -> bytes:
    """Return the bytes of an object, or of the range in `conditions`; a broken body is read again."""
    for attempt in range(_ATTEMPTS):
        body = s3_object.s3.get_object(**s3_object.names, **conditions)["Body"]
        try:
            return body.read()
        except _BROKEN:
            if attempt == _ATTEMPTS - 1:
                raise
        finally:
            body.close()
    raise AssertionError("unreachable")


def download(s3_object: S3Object, allocate: Allocate) -> None:
    """Write the object to the file that `allocate` returns for its size."""
    try:
        first = s3_object.s3.get_object(**s3_object.names, Range=f"bytes=0-{RANGE_BYTES - 1}")
    except ClientError as error:
        if code_of(error) != NO_RANGE:
            raise
        allocate(0)
        return
    size = int(first["ContentRange"].rpartition("/")[2])
    file = allocate(size)
    fetch = partial(_fetch_range, s3_object, file, first["ETag"])
    spans = [range(start, min(start + RANGE_BYTES, size)) for start in range(0, size, RANGE_BYTES)]
    tasks = [partial(fetch, spans[0], first["Body"]), *(partial(fetch, span) for span in spans[1:])]
    try:
        run_parallel(tasks, _DOWNLOADERS)
    except ClientError as error:
        if code_of(error) != _CHANGED:
            raise
        raise Unavailable(f"{s3_object.key} was replaced while it was downloaded; try again") from None


def _fetch_range(s3_object: S3Object, file: int, etag: str, span: range, body: Any = None) -> None:
    """Write the bytes of `span` to the file; `body` is their stream if they were already requested."""
    position = span.start
    for attempt in range(_ATTEMPTS):
        seconds_left(_ANY_TIME)
        if body is None:
            rest = f"bytes={position}-{span.stop - 1}"
            body = s3_object.s3.get_object(**s3_object.names, Range=rest, IfMatch=etag)["Body"]
        try:
            for chunk in body.iter_chunks(_CHUNK):
                seconds_left(_ANY_TIME)
                os.pwrite(file, chunk, position)
                position += len(chunk)
        except _BROKEN:
            if attempt == _ATTEMPTS - 1 and position < span.stop:
                raise
        finally:
            body.close()
        if position >= span.stop:
            break
        body = None
    if position != span.stop:
        raise Unavailable(f"{s3_object.key} arrived with {position - span.start} bytes instead of {len(span)}")


def upload(s3_object: S3Object, file: int, size: int) -> None:
    """Store the `size` bytes of a file in parts."""
    upload_id = s3_object.s3.create_multipart_upload(**s3_object.names)["UploadId"]
    try:
        starts = range(0, size, PART_BYTES)
        send = partial(_send_part, s3_object, file, upload_id)
        etags = run_parallel([partial(send, number, start) for number, start in enumerate(starts, 1)], _UPLOADERS)
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        _complete(s3_object, upload_id, parts, size)
    except (BotoCoreError, ClientError):
        _abort(s3_object, upload_id)
        raise


def _send_part(s3_object: S3Object, file: int, upload_id: str, number: int, start: int) -> str:
    body = os.pread(file, PART_BYTES, start)
    return s3_object.s3.upload_part(**s3_object.names, UploadId=upload_id, PartNumber=number, Body=body)["ETag"]


def _complete(s3_object: S3Object, upload_id: str, parts: list[Any], size: int) -> None:
    try:
        s3_object.s3.complete_multipart_upload(**s3_object.names, UploadId=upload_id, MultipartUpload={"Parts": parts})
    except ClientError as error:
        # If an attempt whose response was lost has completed the upload, the upload no longer exists.
        if code_of(error) != "NoSuchUpload" or s3_object.s3.head_object(**s3_object.names)["ContentLength"] != size:
            raise


def _abort(s3_object: S3Object, upload_id: str) -> None:
    try:
        s3_object.s3.abort_multipart_upload(**s3_object.names, UploadId=upload_id)
    except (BotoCoreError, ClientError):
        pass  # the bucket's lifecycle rule removes it; the caller reports the first error


def run_parallel(tasks: Iterable[Callable[[], T]], threads: int) -> list[T]:
    """Run the tasks and return their results; after a failure, tasks that have not started are cancelled."""
    tasks = list(tasks)
    if len(tasks) < 2:
        return [task() for task in tasks]
    with ThreadPoolExecutor(threads, thread_name_prefix="afterglow-transfer") as pool:
        futures = [pool.submit(copy_context().run, task) for task in tasks]
        try:
            return [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)
