"""Where a deployment's data lives, as far as the jobs care: a directory of this machine, or an AWS account."""

from contextlib import AbstractContextManager
from typing import Protocol

from afterglow.settings import Settings, System
from afterglow.storage.ports import Queue, Stores

AWS_ARGUMENT = "aws:"
"""The argument of a child process that means an AWS account; every other is a directory."""


class Deployment(Protocol):
    """Open stores, and what working on them takes."""

    @property
    def queue(self) -> Queue | None:
        """What tells an indexer elsewhere of work, None where each process has its own."""

    def stores(self, settings: Settings, system: System, queue: Queue) -> Stores:
        """The place's stores, with `queue` for nudges."""

    def exclusive_lock(self, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Hold what keeps two indexers of this place apart, where there is such a thing; whether it was had.

        Waits for whoever holds it; without `wait` the answer is False at once. Not to be nested.
        """

    def reclaim_space(self, system: System, *, thorough: bool) -> None:
        """Remove the leftovers of crashes that no collection knows of, and give space back; all with `thorough`."""

    def worker_argument(self) -> str:
        """What tells a child process of this machine to open the same (`jobs.index_worker`)."""


class NullQueue:
    """For processes that do the work themselves."""

    def send(self, group: str, body: str) -> None:
        """Nobody listens."""
