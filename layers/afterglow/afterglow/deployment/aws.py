"""An AWS account as a place: a DynamoDB table, an S3 bucket, perhaps a queue.

Nothing keeps two indexers of one collection apart for certain: the queue's message groups do as a rule, a lock file on
one machine; and where they do not, the loser of the race to publish throws its work away (`jobs.commit`). What garbage
collection may take is therefore a matter of age alone: see `garbage_grace_seconds`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from afterglow.deployment.base import ACCOUNT
from afterglow.deployment.local import LOCK, locked
from afterglow.errors import InvalidArgument
from afterglow.settings import Ambient, Settings
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.disk_cache import FileCache
from afterglow.storage.aws.objects import S3Objects
from afterglow.storage.aws.queue import SqsQueue
from afterglow.storage.aws.table import DynamoTable
from afterglow.storage.ports import Queue, Stores


@dataclass(frozen=True, slots=True)
class Account:
    """The stores of one deployment in an account. `queue` is None where nobody listens to one."""

    cache: Path
    table: DynamoTable
    objects: S3Objects
    queue: SqsQueue | None

    def stores(self, settings: Settings, ambient: Ambient, queue: Queue) -> Stores:
        """The account's stores, with `queue` for nudges."""
        return Stores(self.table, self.objects, queue, settings, ambient)

    @contextmanager
    def alone(self, *, wait: bool = True) -> Iterator[bool]:
        """Hold this machine's indexer lock; one on another machine may be at work all the same."""
        with locked(self.cache / LOCK, wait=wait) as is_alone:
            yield is_alone

    def tidy(self, ambient: Ambient, *, thorough: bool) -> None:
        """Nothing to do: the cache removes its own leftovers, DynamoDB what has expired."""

    def argument(self) -> str:
        """That it is an account; which one is in the environment."""
        return ACCOUNT


def open_account(settings: Settings, ambient: Ambient, clients: Clients | None = None) -> Account:
    """The account's stores that the settings name. Asks nothing of them yet. Raises InvalidArgument, StorageFull."""
    for name in ("table", "bucket"):
        if not getattr(settings, name):
            raise InvalidArgument(
                f"AFTERGLOW_{name.upper()} is not set: deploy the stack (see the README) and set it to the output "
                f"{name.capitalize()}"
            )
    clients = clients or Clients(ambient)
    folder = Path(settings.cache)
    cache = FileCache(folder, settings.cache_bytes, ambient)
    return Account(
        cache=folder,
        table=DynamoTable(clients, settings.table),
        objects=S3Objects(clients, settings.bucket, cache, ambient),
        queue=SqsQueue(clients, settings.queue) if settings.queue else None,
    )


def open_bucket(bucket: str, settings: Settings, ambient: Ambient, clients: Clients | None = None) -> S3Objects:
    """Some other bucket than the deployment's. Raises StorageFull."""
    cache = FileCache(Path(settings.cache), settings.cache_bytes, ambient)
    return S3Objects(clients or Clients(ambient), bucket, cache, ambient)
