"""The clients of DynamoDB, S3 and SQS: created on first use, once per process, shared by all threads.

They are botocore clients: boto3 would add resources and a transfer manager, 65 modules that are not used here. Measured
on Python 3.11, best of 5: three clients are ready after 209 ms instead of 220. Objects are read without one of them, by
`storage.aws.object_reader`; a process that only reads never creates the client of S3.

The longest duration of a call when a service drops every packet (API Gateway limits a request to 30 seconds)::

    service    connect      read timeout         attempts   total, with pauses
    DynamoDB   1 s          2 s                  3          6 s
    S3         1 s          5 s                  3          15 s
    SQS        1 s          2 s                  2          4 s

A throttled attempt is repeated after up to 1, then up to 2 seconds; a failed one after some hundredths of a second.
Then the adapters raise an error of the library (`storage.aws.error_mapping`).
"""

import threading
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

from afterglow.settings import System
from afterglow.storage.aws import usage_hooks
from afterglow.storage.aws.error_mapping import map_errors
from afterglow.storage.aws.object_reader import Reader
from afterglow.storage.aws.reader_store import open_reader
from afterglow.storage.aws.service_models import ModelFiles

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_s3.client import S3Client
    from types_boto3_sqs.client import SQSClient

_CONNECT_SECONDS = 1.0
_POOL = 64
_TIMEOUTS = {"dynamodb": (2.0, 3), "s3": (5.0, 3), "sqs": (2.0, 2), "s3vectors": (30.0, 5)}
"""Read timeout in seconds, and attempts."""


class Clients:
    """Region, credentials and endpoint come from the standard AWS sources: environment, configuration files, role."""

    def __init__(self, system: System | None = None) -> None:
        self.system = system or System()
        self._lock = threading.Lock()
        self._session: botocore.session.Session | None = None
        self._loader: Any = None
        self._clients: dict[str, Any] = {}
        self._readers: dict[str, Reader] = {}

    @property
    def dynamodb(self) -> "DynamoDBClient":
        """The DynamoDB client."""
        client: DynamoDBClient = self._client("dynamodb")
        return client

    @property
    def s3(self) -> "S3Client":
        """The S3 client."""
        client: S3Client = self._client("s3")
        return client

    @property
    def sqs(self) -> "SQSClient":
        """The SQS client."""
        client: SQSClient = self._client("sqs")
        return client

    @property
    def s3_vectors(self) -> Any:
        """The client of S3 Vectors."""
        return self._client("s3vectors")

    def object_reader(self, bucket: str) -> Reader:
        """The reader of a bucket's objects."""
        with self._lock, map_errors(f"bucket {bucket}"):
            if bucket not in self._readers:
                self._readers[bucket] = self._create_reader(bucket)
            return self._readers[bucket]

    def forget_credentials(self) -> None:
        """Close connections and drop credentials (e.g. after a SnapStart restore); the next use creates new ones."""
        with self._lock:
            clients, self._clients, self._session = self._clients, {}, None
            readers, self._readers = self._readers, {}
        for owner in (*clients.values(), *readers.values()):
            owner.close()

    def pause(self, attempt: int, base: float = 0.025) -> None:
        """Wait before attempt `attempt` + 1 (counted from 0): exponential backoff up to a second, half of it jitter."""
        self.system.sleep(min(base * 2**attempt, 1.0) * (0.5 + self.system.random.random() / 2))

    def _client(self, service: str) -> Any:
        client = self._clients.get(service)
        if client is not None:
            return client
        with self._lock, map_errors(f"the client of {service}"):
            if service not in self._clients:
                self._clients[service] = self._create(service)
            return self._clients[service]

    def _new_session(self) -> botocore.session.Session:
        return botocore.session.get_session()

    def _create_reader(self, bucket: str) -> Reader:
        return open_reader(self._current_session(), bucket, self.system)

    def _current_session(self) -> botocore.session.Session:
        if self._session is None:
            self._session = self._new_session()
            if self._loader is None:
                self._loader = self._session.get_component("data_loader")
                self._loader.file_loader = ModelFiles()
            # Service models are loaded once.
            self._session.register_component("data_loader", self._loader)
        return self._session

    def _create(self, service: str) -> Any:
        read_seconds, attempts = _TIMEOUTS[service]
        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=_POOL,
            tcp_keepalive=True,
        )
        client = self._current_session().create_client(service, config=config)
        usage_hooks.attach(client)
        return client


def time_of(response: Any) -> float | None:
    """The time of a response by the clock of the service, in Unix seconds; None if the response does not have it."""
    date = response["ResponseMetadata"]["HTTPHeaders"].get("date")
    return None if date is None else parsedate_to_datetime(date).timestamp()
