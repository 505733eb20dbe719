"""What the jobs require of a deployment, be it a data directory of this machine or an AWS account."""

from contextlib import AbstractContextManager
from typing import Protocol

from afterglow.settings import Settings, System
from afterglow.storage.ports import Queue, Stores

AWS_ARGUMENT = "aws:"
"""The argument of a child process that stands for the AWS account; any other is a directory."""


class Deployment(Protocol):
    """Open stores, and what background jobs need to work on them."""

    @property
    def queue(self) -> Queue | None:
        """The queue of an indexer elsewhere, None if each process runs its own indexer."""

    def stores(self, settings: Settings, system: System, queue: Queue) -> Stores:
        """The stores of the deployment, with `queue` for notifications of the indexer."""

    def exclusive_lock(self, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Exclude all flushes and compactions of the deployment, as far as there are locks; whether they are held.

        Waits for the current holders; without `wait` the result is False at once. None of the locks may be nested.
        """

    def flush_lock(self) -> AbstractContextManager[bool]:
        """Exclude other flushes of the deployment, not compactions."""

    def compaction_lock(self) -> AbstractContextManager[bool]:
        """Exclude other compactions of the deployment, not flushes."""

    def reclaim_space(self, system: System, *, thorough: bool) -> None:
        """Remove leftovers of crashes that belong to no collection, and free space; all of it with `thorough`."""

    def problems(self) -> list[str]:
        """What is damaged in the table, one sentence each."""

    def worker_argument(self) -> str:
        """The argument with which a child process opens the same deployment (`jobs.index_worker`)."""


class NullQueue:
    """A queue without a listener, for processes that do the work themselves."""

    def send(self, group: str, body: str) -> None:
        """Drop the message."""
