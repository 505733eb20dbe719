"""The deployment of an AWS account: a DynamoDB table, an S3 bucket and optionally a queue.

Nothing excludes two indexers of one collection with certainty: usually the message groups of the queue do, and on one
machine a lock file. If two meet anyway, the one that commits second discards its work (`jobs.commit`). So garbage
collection decides by age alone: see `gc_grace_seconds`.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from afterglow.deployment.base import AWS_ARGUMENT
from afterglow.deployment.file_lock import COMPACTOR_LOCK, INDEXER_LOCK, both_locks, file_lock
from afterglow.deployment.model_folder import with_model_folder
from afterglow.errors import InvalidArgument
from afterglow.settings import Settings, System
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.disk_cache import DiskCache
from afterglow.storage.aws.objects import S3Objects
from afterglow.storage.aws.queue import SqsQueue
from afterglow.storage.aws.table import DynamoTable
from afterglow.storage.ports import Queue, Stores
from afterglow.storage.readers import AccountReaders


@dataclass(frozen=True, slots=True)
class AwsDeployment:
    """The stores of one deployment in an account. `queue` is None without an indexer that listens to one."""

    cache: Path
    table: DynamoTable
    objects: S3Objects
    queue: SqsQueue | None

    def stores(self, settings: Settings, system: System, queue: Queue) -> Stores:
        """The stores of the account, with `queue` for notifications of the indexer."""
        settings = with_model_folder(settings, self.cache)
        return Stores(self.table, self.objects, queue, settings, system, AccountReaders(self.table, system))

    def exclusive_lock(self, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Hold the locks of this machine, whether they are held; another machine may still be at work."""
        return both_locks(self.cache, wait=wait)

    def flush_lock(self) -> AbstractContextManager[bool]:
        """Hold the lock of this machine's indexer; another machine may still be at work."""
        return file_lock(self.cache / INDEXER_LOCK, wait=True)

    def compaction_lock(self) -> AbstractContextManager[bool]:
        """Hold the lock of this machine's compactor; another machine may still be at work."""
        return file_lock(self.cache / COMPACTOR_LOCK, wait=True)

    def reclaim_space(self, system: System, *, thorough: bool) -> None:
        """Do nothing: the cache removes its own leftovers, and DynamoDB deletes expired items."""

    def problems(self) -> list[str]:
        """Nothing: DynamoDB verifies its own items."""
        return []

    def worker_argument(self) -> str:
        """`AWS_ARGUMENT`; the environment identifies the account."""
        return AWS_ARGUMENT


def open_aws(settings: Settings, system: System, clients: Clients | None = None) -> AwsDeployment:
    """The stores that the settings name, without any request to them. Raises InvalidArgument, StorageFull."""
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


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """Objects brought back, what was enabled for the table, and whether uploads are announced to an importer."""

    objects: int
    enabled: list[str]
    notifies_importer: bool


def recover(settings: Settings, system: System, moment: float) -> RecoveryReport:
    """Bring the bucket to the moment (Unix seconds) to which the table was restored (`storage.aws.recovery`).

    Raises InvalidArgument, Unavailable, StorageFull.
    """
    # Imported here: no function recovers.
    from afterglow.storage.aws import recovery

    clients = Clients(system)
    open_aws(settings, system, clients)
    if settings.import_queue:
        recovery.notify_importer(clients, settings.bucket, settings.import_queue)
    return RecoveryReport(
        objects=recovery.undelete_since(clients, settings.bucket, moment),
        enabled=recovery.protect_table(clients, settings.table),
        notifies_importer=bool(settings.import_queue),
    )


def delete_old_versions(settings: Settings, system: System, prefix: str, until: float) -> int:
    """Delete what the versioned bucket has of objects that were deleted by `until`; how many versions.

    Raises InvalidArgument, Unavailable, StorageFull.
    """
    # Imported here: no function deletes versions.
    from afterglow.storage.aws import old_versions

    clients = Clients(system)
    open_aws(settings, system, clients)
    return old_versions.delete_old_versions(clients, settings.bucket, prefix, until)


def open_bucket(bucket: str, settings: Settings, system: System, clients: Clients | None = None) -> S3Objects:
    """The objects of any bucket. Raises StorageFull."""
    cache = DiskCache(Path(settings.cache_dir), settings.cache_max_bytes, system)
    return S3Objects(clients or Clients(system), bucket, cache, system)
