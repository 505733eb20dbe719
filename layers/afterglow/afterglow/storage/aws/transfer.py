"""Moving large objects: ranges and parts side by side, on a few threads that live as long as the transfer.

**Download**: the first range tells the size (Content-Range) and the ETag; the others are fetched on condition that the
object still has that ETag. A range that breaks off goes on from the byte where it stopped. Each must bring exactly its
bytes, else the download fails; the caller then throws the file away.

**Upload** of a file of 64 MB or more: begin, parts, complete.
*Crash before the last step: parts that nobody sees, which the bucket's lifecycle removes.* An answer to the last step
that was lost is recognised by the object that stands there.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError, HTTPClientError, IncompleteReadError

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
NO_RANGE = "InvalidRange"
_CHANGED = "PreconditionFailed"
_BROKEN = (HTTPClientError, IncompleteReadError, FlexibleChecksumError)
"""What reading a body raises when the connection breaks, stalls or ends early, or brings other bytes than it should."""


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object of a bucket, and the client to reach it by."""

    s3: "S3Client"
    bucket: str
    key: str

    @property
    def names(self) -> dict[str, Any]:
        """As parameters of a call."""
        return {"Bucket": self.bucket, "Key": self.key}


def read(place: S3Object, **conditions: Any) -> bytes:
    """The bytes of an object, or of the range that `conditions` name; again where the body breaks off."""
    for attempt in range(_ATTEMPTS):
        body = place.s3.get_object(**place.names, **conditions)["Body"]
        try:
            return body.read()
        except _BROKEN:
            if attempt == _ATTEMPTS - 1:
                raise
        finally:
            body.close()
    raise AssertionError("unreachable")


def download(place: S3Object, begin: Allocate) -> None:
    """Write the object to the file that `begin` gives for its size."""
    try:
        first = place.s3.get_object(**place.names, Range=f"bytes=0-{RANGE_BYTES - 1}")
    except ClientError as error:
        if code_of(error) != NO_RANGE:
            raise
        begin(0)
        return
    size = int(first["ContentRange"].rpartition("/")[2])
    file = begin(size)
    fetch = partial(_fetch, place, file, first["ETag"])
    spans = [range(start, min(start + RANGE_BYTES, size)) for start in range(0, size, RANGE_BYTES)]
    tasks = [partial(fetch, spans[0], first["Body"]), *(partial(fetch, span) for span in spans[1:])]
    try:
        run_parallel(tasks, _DOWNLOADERS)
    except ClientError as error:
        if code_of(error) != _CHANGED:
            raise
        raise Unavailable(f"{place.key} was replaced while it was downloaded; try again") from None


def _fetch(place: S3Object, file: int, etag: str, span: range, body: Any = None) -> None:
    """Write the bytes at `span`; `body` is their stream where they were asked for already."""
    position = span.start
    for attempt in range(_ATTEMPTS):
        if body is None:
            asked = f"bytes={position}-{span.stop - 1}"
            body = place.s3.get_object(**place.names, Range=asked, IfMatch=etag)["Body"]
        try:
            for chunk in body.iter_chunks(_CHUNK):
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
        raise Unavailable(f"{place.key} came with {position - span.start} bytes instead of {len(span)}")


def upload(place: S3Object, file: int, size: int) -> None:
    """Store the `size` bytes of a file in parts."""
    begun = place.s3.create_multipart_upload(**place.names)["UploadId"]
    try:
        starts = range(0, size, PART_BYTES)
        send = partial(_send, place, file, begun)
        etags = run_parallel([partial(send, number, at) for number, at in enumerate(starts, 1)], _UPLOADERS)
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        _complete(place, begun, parts, size)
    except (BotoCoreError, ClientError):
        _abort(place, begun)
        raise


def _send(place: S3Object, file: int, begun: str, number: int, start: int) -> str:
    body = os.pread(file, PART_BYTES, start)
    return place.s3.upload_part(**place.names, UploadId=begun, PartNumber=number, Body=body)["ETag"]


def _complete(place: S3Object, begun: str, parts: list[Any], size: int) -> None:
    try:
        place.s3.complete_multipart_upload(**place.names, UploadId=begun, MultipartUpload={"Parts": parts})
    except ClientError as error:
        # Completed by an attempt whose answer was lost, it is no longer an upload.
        if code_of(error) != "NoSuchUpload" or place.s3.head_object(**place.names)["ContentLength"] != size:
            raise


def _abort(place: S3Object, begun: str) -> None:
    try:
        place.s3.abort_multipart_upload(**place.names, UploadId=begun)
    except (BotoCoreError, ClientError):
        pass  # the bucket's lifecycle removes it, and the first error is the one to tell


def run_parallel(tasks: Iterable[Callable[[], T]], threads: int) -> list[T]:
    """The results of all; after a failure the ones not begun are left out."""
    tasks = list(tasks)
    if len(tasks) < 2:
        return [task() for task in tasks]
    with ThreadPoolExecutor(threads, thread_name_prefix="afterglow-transfer") as pool:
        futures = [pool.submit(copy_context().run, task) for task in tasks]
        try:
            return [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)
