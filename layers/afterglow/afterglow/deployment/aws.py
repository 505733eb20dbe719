"""An AWS account as a place: a DynamoDB table, an S3 bucket, perhaps a queue.

Nothing keeps two indexers of one collection apart for certain: the queue's message groups do as a rule, a lock file on
one machine; and where they do not, the loser of the race to publish throws its work away (`jobs.commit`). What garbage
collection may take is therefore a matter of age alone: see `gc_grace_seconds`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from afterglow.deployment.base import AWS_ARGUMENT
from afterglow.deployment.local import LOCK, file_lock
from afterglow.errors import InvalidArgument
from afterglow.settings import Settings, System
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.disk_cache import DiskCache
from afterglow.storage.aws.objects import S3Objects
from afterglow.storage.aws.queue import SqsQueue
from afterglow.storage.aws.table import DynamoTable
from afterglow.storage.ports import Queue, Stores


@dataclass(frozen=True, slots=True)
class AwsDeployment:
    """The stores of one deployment in an account. `queue` is None where nobody listens to one."""

    cache: Path
    table: DynamoTable
    objects: S3Objects
    queue: SqsQueue | None

    def stores(self, settings: Settings, system: System, queue: Queue) -> Stores:
        """The account's stores, with `queue` for nudges."""
        return Stores(self.table, self.objects, queue, settings, system)

    @contextmanager
    def exclusive_lock(self, *, wait: bool = True) -> Iterator[bool]:
        """Hold this machine's indexer lock; one on another machine may be at work all the same."""
        with file_lock(self.cache / LOCK, wait=wait) as is_alone:
            yield is_alone

    def reclaim_space(self, system: System, *, thorough: bool) -> None:
        """Nothing to do: the cache removes its own leftovers, DynamoDB what has expired."""

    def worker_argument(self) -> str:
        """That it is an account; which one is in the environment."""
        return AWS_ARGUMENT


def open_aws(settings: Settings, system: System, clients: Clients | None = None) -> AwsDeployment:
    """The account's stores that the settings name. Asks nothing of them yet. Raises InvalidArgument, StorageFull."""
    for name in ("table", "bucket"):
        if not getattr(settings, name):
            raise InvalidArgument(
                f"AFTERGLOW_{name.upper()} is not set: deploy the stack (see the README) and set it to the output "
                f"{name.capitalize()}"
            )
    clients = clients or Clients(system)
    folder = Path(settings.cache_dir)
    cache = DiskCache(folder, settings.cache_max_bytes, system)
    return AwsDeployment(
        cache=folder,
        table=DynamoTable(clients, settings.table),
        objects=S3Objects(clients, settings.bucket, cache, system),
        queue=SqsQueue(clients, settings.queue) if settings.queue else None,
    )


def open_bucket(bucket: str, settings: Settings, system: System, clients: Clients | None = None) -> S3Objects:
    """Some other bucket than the deployment's. Raises StorageFull."""
    cache = DiskCache(Path(settings.cache_dir), settings.cache_max_bytes, system)
    return S3Objects(clients or Clients(system), bucket, cache, system)
