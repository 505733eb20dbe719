"""Reads objects through botocore, for tests on moto, which lives in this process and cannot be reached by obstore."""

from collections.abc import Sequence
from functools import partial

from botocore.exceptions import ClientError

from afterglow.errors import Corrupt
from afterglow.storage.aws import transfer
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.error_mapping import code_of, map_errors
from afterglow.storage.aws.object_reader import ObjectReplaced, Part, SpanRequest
from afterglow.storage.aws.transfer import S3Object, run_parallel
from afterglow.storage.ports import ObjectNotFound

_THREADS = 4


class BotocoreReader:
    """The reader of one bucket."""

    def __init__(self, clients: Clients, bucket: str) -> None:
        self._clients = clients
        self._bucket = bucket

    def read_spans(self, requests: Sequence[SpanRequest]) -> None:
        run_parallel([partial(self._read_span, request) for request in requests], _THREADS)

    def read_objects(self, keys: Sequence[str]) -> list[bytes | None]:
        return run_parallel([partial(self._read_object, key) for key in keys], _THREADS)

    def close(self) -> None:
        """Nothing is open."""

    def _read_span(self, request: SpanRequest) -> None:
        start, stop = request.bounds
        part = self._get(request.key, f"bytes={start}-{stop - 1}", request.etag)
        request.deliver(part)

    def _read_object(self, key: str) -> bytes | None:
        with map_errors(f"bucket {self._bucket}"):
            try:
                return transfer.read(S3Object(self._clients.s3, self._bucket, key))
            except ClientError as error:
                if code_of(error) in ("NoSuchKey", "404"):
                    return None
                raise

    def _get(self, key: str, span: str, etag: str | None) -> Part:
        conditions = {"Range": span} if etag is None else {"Range": span, "IfMatch": etag}
        with map_errors(f"bucket {self._bucket}"):
            try:
                found = self._clients.s3.get_object(Bucket=self._bucket, Key=key, **conditions)  # type: ignore[arg-type]
            except ClientError as error:
                match code_of(error):
                    case "NoSuchKey" | "404":
                        raise ObjectNotFound(f"object {key} does not exist") from None
                    case "PreconditionFailed" | "412":
                        raise ObjectReplaced(key) from None
                    case "InvalidRange":
                        raise Corrupt(f"{key} is damaged: it ends too soon") from None
                    case _:
                        raise
            data = memoryview(found["Body"].read())
        return Part(data, int(found["ContentRange"].rpartition("/")[2]), found["ETag"])
