"""What the stores were given, checked as it happens: the observer sees every change of the table and of the objects.

It keeps each log as it was written, whatever the library makes of it later, and so knows what a collection holds at
every position. It raises `Violation` as soon as

* an entry is put at any number but the next one: it would overwrite another, leave a gap, or land where readers never
  look, below what is flushed;
* an entry is replaced or deleted that is not flushed;
* an entry names an object that is not there;
* a write is in the log twice;
* a checkpoint becomes current that names an object that is not there, or goes back;
* an object is deleted that a current checkpoint or an unflushed entry names.
"""

from dataclasses import dataclass, field
from uuid import UUID

import orjson

from afterglow.catalog import keys, ttl
from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.log import batch as batches
from afterglow.log import entry as entries
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, EntryKind
from afterglow.storage.ports import Item
from tests.simulation.memory import MemoryObjects, MemoryTable
from tests.support.model import Model, Record


class Violation(BaseException):
    """Something is not as promised. Not an Exception, so that no handler continues."""


@dataclass
class CollectionLog:
    """A collection's log from entry `first` + 1 on; `contents[n]` is the collection at entry `first` + n."""

    id: UUID
    name: str
    ttl_key: str | None
    first: int
    contents: list[Model]
    times: list[int]
    """The log's time, in Unix milliseconds, at each of these."""
    written: list[Batch | None] = field(default_factory=list)
    """None: a seal."""
    is_sealed: bool = False

    @property
    def last(self) -> int:
        """The number of the last entry."""
        return self.first + len(self.written)

    def at(self, position: int) -> Model:
        """The collection as of an entry."""
        return self.contents[position - self.first]

    def batch(self, seq: int) -> Batch | None:
        """The batch of an entry."""
        return self.written[seq - self.first - 1]

    def time(self, position: int) -> int:
        """The log's time at an entry."""
        return self.times[position - self.first]


class Observer:
    """The logs of all collections, by id."""

    def __init__(self, table: MemoryTable, objects: MemoryObjects) -> None:
        self.logs: dict[UUID, CollectionLog] = {}
        self.origins: dict[str, tuple[UUID, str]] = {}
        """Where a fork comes from, by its name: the source, and how it was forked."""
        self._table = table
        self._objects = objects
        self._names: dict[str, frozenset[str]] = {}
        self._tokens: set[str] = set()
        table.on_put = self._on_put
        table.on_delete = self._on_delete
        objects.on_delete = self._on_delete_object

    def collection(self, pk: str) -> Collection | None:
        """The stored state."""
        item = self._table.get(pk, keys.STATE)
        return None if item is None else states.decode(item)

    def _on_put(self, old: Item | None, new: Item) -> None:
        if not new.pk.startswith(keys.COLLECTION):
            return
        if new.sk == keys.STATE:
            self._check_state(None if old is None else states.decode(old), states.decode(new))
        elif (state := self.collection(new.pk)) is not None:
            self._check_entry(state, None if old is None else entries.decode(old), entries.decode(new))

    def _on_delete(self, old: Item) -> None:
        if not old.pk.startswith(keys.COLLECTION) or not old.sk.startswith(entries.LOG):
            return
        state, seq = self.collection(old.pk), entries.decode(old).seq
        if state is not None and not state.is_dropped and seq > state.flushed_seq:
            raise Violation(f"entry {seq} of {state.name} is deleted, but only {state.flushed_seq} entries are flushed")

    # state

    def _check_state(self, old: Collection | None, new: Collection) -> None:
        if old is None:
            self._add(new)
        elif new.flushed_seq < old.flushed_seq:
            raise Violation(f"{new.name} is flushed to {new.flushed_seq} after {old.flushed_seq}")
        if old is not None and old.is_dropped and not new.is_dropped:
            raise Violation(f"{new.name} is dropped, and then is not")
        if new.flushed_seq > self.logs[new.id].last:
            raise Violation(f"{new.name} is flushed to {new.flushed_seq}, its log ends at {self.logs[new.id].last}")
        missing = self._needed(new) - self._objects.stored.keys()
        if missing and not new.is_dropped:
            raise Violation(f"the checkpoint of {new.name} names objects that are not there: {sorted(missing)}")

    def _add(self, new: Collection) -> None:
        contents, time = Model(), 0
        if new.name in self.origins:
            source = self.logs[self.origins[new.name][0]]
            if not source.first <= new.fork_position <= source.last:
                raise Violation(f"{new.name} is forked at {new.fork_position}, its source ends at {source.last}")
            contents, time = source.at(new.fork_position), source.time(new.fork_position)
        key = ttl.ttl_key(new.metadata)
        self.logs[new.id] = CollectionLog(new.id, new.name, key, new.fork_position, [contents], [time])

    def _needed(self, state: Collection) -> set[str]:
        """What the current checkpoint names."""
        key = state.manifest_key
        if key is None:
            return set()
        if key not in self._names:
            found = self._objects.stored.get(key)
            if found is None:
                raise Violation(f"the manifest {key} of {state.name} is not there")
            segments = orjson.loads(found.data)["segments"]
            files = [file["key"] for segment in segments for file in segment["files"].values()]
            files += [segment["deletions"]["key"] for segment in segments if segment["deletions"]]
            self._names[key] = frozenset([key, *files])
        return set(self._names[key])

    # log

    def _check_entry(self, state: Collection, old: Entry | None, new: Entry) -> None:
        log = self.logs[state.id]
        if new.kind is EntryKind.PLACEHOLDER:
            if new.seq > state.flushed_seq and not state.is_dropped:
                raise Violation(f"entry {new.seq} of {log.name} is replaced, but it is flushed to {state.flushed_seq}")
            return
        if new.seq != log.last + 1:
            raise Violation(f"entry {new.seq} is put into {log.name}, whose log ends at {log.last}")
        if log.is_sealed:
            raise Violation(f"entry {new.seq} is put into {log.name} after its seal")
        batch = None
        if new.kind is EntryKind.SEAL:
            log.is_sealed = True
        else:
            batch = batches.decode(self._frame(log, new), f"entry {new.seq} of {log.name}")
            self._check_tokens(log, new.seq, batch)
        time = entries.advance_log_time(log.times[-1], new)
        log.written.append(batch)
        log.times.append(time)
        contents = log.contents[-1].copy()
        if batch is not None:
            contents.apply(batch, lambda record: is_expired(record, new.ttl_key, time / 1000))
        log.contents.append(contents)

    def _frame(self, log: CollectionLog, entry: Entry) -> bytes:
        if entry.payload is not None:
            return entry.payload
        found = None if entry.payload_key is None else self._objects.stored.get(entry.payload_key)
        if found is None:
            raise Violation(f"entry {entry.seq} of {log.name} names {entry.payload_key}, which is not there")
        return found.data

    def _check_tokens(self, log: CollectionLog, seq: int, batch: Batch) -> None:
        tokens = {document for document in batch.documents or () if document is not None}
        if tokens & self._tokens:
            raise Violation(f"entry {seq} of {log.name} repeats a write: {sorted(tokens & self._tokens)[0][:40]}")
        self._tokens |= tokens

    # objects

    def _on_delete_object(self, key: str) -> None:
        for log in self.logs.values():
            state = self.collection(keys.collection(log.id))
            if state is None or state.is_dropped:
                continue
            if key in self._needed(state):
                raise Violation(f"{key} is deleted, which the checkpoint of {state.name} needs")
            for item in self._table.partitions[keys.collection(log.id)].values():
                if item.sk.startswith(entries.LOG) and f'"{key}"'.encode() in item.value:
                    entry = entries.decode(item)
                    if entry.kind is EntryKind.BATCH and entry.seq > state.flushed_seq:
                        raise Violation(f"{key} is deleted, which entry {entry.seq} of {state.name} needs")


def is_expired(record: Record, key: str | None, now: float) -> bool:
    """Whether a record has expired by a time in Unix seconds."""
    expiry = None if key is None else (record.metadata or {}).get(key)
    return isinstance(expiry, int | float) and expiry <= now
