"""The stores themselves, in memory: every method is atomic. `on_put` and `on_delete` see each change before it is made.

Faults, delays and clocks are those of a process: `tests.simulation.processes`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put, Write


class MemoryTable:
    """The items, by partition and key."""

    def __init__(self) -> None:
        self.partitions: dict[str, dict[str, Item]] = {}
        self.changes = 0
        self.on_put: Callable[[Item | None, Item], None] = lambda old, new: None
        self.on_delete: Callable[[Item], None] = lambda old: None

    def get(self, pk: str, sk: str) -> Item | None:
        return self.partitions.get(pk, {}).get(sk)

    def put(self, put: Put, *, restarts_version: bool = False) -> int:
        old = self._checked(put)
        self.changes += 1
        version = 1 if old is None or restarts_version else old.version + 1
        new = Item(put.pk, put.sk, put.value, version, put.expires_at)
        self.on_put(old, new)
        self.partitions.setdefault(put.pk, {})[put.sk] = new
        return version

    def delete(self, delete: Delete) -> None:
        old = self._checked(delete)
        if old is not None:
            self.changes += 1
            self.on_delete(old)
            del self.partitions[delete.pk][delete.sk]

    def query(self, pk: str, after: str, before: str | None, limit: int | None, *, reverse: bool) -> list[Item]:
        items = self.partitions.get(pk, {})
        names = sorted(items)
        names = names[bisect_right(names, after) : None if before is None else bisect_left(names, before)]
        if reverse:
            names.reverse()
        return [items[name] for name in names[:limit]]

    def transact(self, writes: Sequence[Write]) -> None:
        for write in writes:
            self._checked(write)
        for write in writes:
            match write:
                case Put():
                    self.put(write)
                case Delete():
                    self.delete(write)
                case Check():
                    pass

    def _checked(self, write: Write) -> Item | None:
        """The existing item. Raises ConditionFailed."""
        old = self.get(write.pk, write.sk)
        expected = write.if_version
        is_violated = expected is not None and (old is None or old.version != expected)
        if isinstance(write, (Put, Check)):
            is_violated = is_violated or (write.if_absent and old is not None)
        if isinstance(write, Check):
            is_violated = is_violated or (old is None and not write.if_absent)
        if is_violated:
            raise ConditionFailed(f"{write.pk} {write.sk} is not as expected", old, (write.pk, write.sk))
        return old


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's bytes, and when it was put by the clock of the store."""

    data: bytes
    modified: float


class MemoryObjects:
    """The objects; a file in `folder` for each one that is to be mapped."""

    def __init__(self, folder: Path) -> None:
        self.stored: dict[str, StoredObject] = {}
        self.on_delete: Callable[[str], None] = lambda key: None
        self._folder = folder
        self._files: dict[str, Path] = {}
        self._created = 0

    def put(self, key: str, data: bytes, time: float) -> None:
        self.stored[key] = StoredObject(data, time)

    def delete(self, key: str) -> None:
        if key in self.stored:
            self.on_delete(key)
            del self.stored[key]
            if key in self._files:
                self._files.pop(key).unlink()

    def new_path(self) -> Path:
        self._created += 1
        return self._folder / str(self._created)

    def path(self, key: str) -> Path:
        """A file with the bytes of an object that exists."""
        if key not in self._files:
            path = self._files[key] = self.new_path()
            path.write_bytes(self.stored[key].data)
        return self._files[key]
