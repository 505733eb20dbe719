"""The adapters under contract. A further one joins by one more entry in a list.

`open(folder)` makes an instance over the store that belongs to `folder` (a test's own directory): two instances of one
folder share one store, as two processes would. It must be a function of a module, so that a child process can call it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from afterglow.settings import Ambient
from afterglow.storage.local.objects import DirectoryObjects
from afterglow.storage.local.queue import ThreadQueue
from afterglow.storage.local.table import SqliteTable
from afterglow.storage.ports import Objects, Queue, Table

Port = TypeVar("Port")

Handler = Callable[[str, str], None]
"""Takes (group, body); an AfterglowError means: deliver it again."""


@dataclass(frozen=True, slots=True)
class Adapter(Generic[Port]):
    """One adapter: its name in the test ids, and how to open it."""

    name: str
    open: Callable[[Path], Port]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class QueueAdapter:
    """One adapter of the queue: `open(folder, handler)` delivers to `handler` for the length of the block."""

    name: str
    open: Callable[[Path, Handler], AbstractContextManager[Queue]]

    def __str__(self) -> str:
        return self.name


def sqlite_table(folder: Path) -> Table:
    return SqliteTable(folder / "table.sqlite")


def directory_objects(folder: Path) -> Objects:
    return DirectoryObjects(folder / "objects", Ambient())


@contextmanager
def thread_queue(folder: Path, handler: Handler) -> Iterator[Queue]:
    queue = ThreadQueue(Ambient())
    queue.start(handler)
    try:
        yield queue
    finally:
        queue.close()


TABLES: list[Adapter[Table]] = [Adapter("sqlite", sqlite_table)]
OBJECTS: list[Adapter[Objects]] = [Adapter("directory", directory_objects)]
QUEUES: list[QueueAdapter] = [QueueAdapter("thread", thread_queue)]
