"""One entry of the log, as the value of a `LOG#<number>` item.

The value is a line of JSON (`format`, `kind`, `nonce`, `at`, `ops`, `size`, `payload`, `ttl_key`), a newline, and for
an inline payload its bytes (`log.payload`). `size` is their length, inline or not. An entry of several batches, which
only a transaction writes, has format 4 and their number as `batches`; every other entry has format 3, so that releases
before transactions can read it.

`at` is when its writer appended it, by that writer's clock, but not before the entry before it: a hybrid logical clock
(Kulkarni et al. 2014). The **log time** of a position is the latest `at` up to there (`advance_log_time`). It never
goes back, whatever the clocks of the writers do, and is the one clock that writes and reads share.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import orjson

from afterglow.errors import Corrupt, UnsupportedFormat
from afterglow.storage.ports import Item

FORMAT = 4
_ONE_BATCH = 3
"""The format of entries that hold at most one batch."""
LOG = "LOG#"
BEFORE_ALL = LOG
AFTER_ALL = "LOG$"
_DIGITS = 20
_TIME_DIGITS = 14
_PAYLOAD_NAME = re.compile(r"\d+-[0-9A-Za-z]+\.batch", re.ASCII)


class EntryKind(StrEnum):
    """The kind of an entry."""

    BATCH = "batch"
    PLACEHOLDER = "placeholder"
    SEAL = "seal"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry at number `seq`. Its batches are in `payload`, or under the key `payload_key` where they are too large.

    A placeholder has the `payload_key` of the entry that it replaced; the object may be gone.

    `appended_at` is in Unix milliseconds. `ttl_key` is the metadata key that held the expiry of records when the entry
    was written; None: records did not expire.
    """

    seq: int
    kind: EntryKind
    nonce: str
    appended_at: int = 0
    op_count: int = 0
    byte_size: int = 0
    payload_key: str | None = None
    payload: bytes | None = None
    ttl_key: str | None = None
    batch_count: int = 1


def key(seq: int) -> str:
    """The sort key of entry `seq`."""
    return f"{LOG}{seq:0{_DIGITS}}"


def payload_key(collection_id: UUID, stored_at: int, nonce: str) -> str:
    """The key of a batch too large for the table; keys sort by `stored_at`.

    That is when it was put (Unix milliseconds), but not before the time of the log then.
    """
    return f"{payload_prefix(collection_id)}{stored_at:0{_TIME_DIGITS}}-{nonce}.batch"


def payload_time(key: str) -> int:
    """The `stored_at` of a payload's key. Raises ValueError."""
    return int(key.rpartition("/")[2].partition("-")[0])


def milliseconds(seconds: float) -> int:
    """Unix seconds as the milliseconds of the log."""
    return int(seconds * 1000)


def advance_log_time(log_time: int, entry: Entry) -> int:
    """The log time at `entry`, given the log time at the entry before."""
    return max(log_time, entry.appended_at)


def payload_prefix(collection_id: UUID) -> str:
    """The prefix of all batches of a collection."""
    return f"{collection_id}/log/"


def is_payload_key(key: str, collection_id: UUID) -> bool:
    """Whether `key` is that of a batch of the collection."""
    start = payload_prefix(collection_id)
    return key.startswith(start) and _PAYLOAD_NAME.fullmatch(key.removeprefix(start)) is not None


def encode(entry: Entry) -> bytes:
    """The value of the entry's item."""
    head = {
        "format": _ONE_BATCH if entry.batch_count == 1 else FORMAT,
        "kind": entry.kind,
        "nonce": entry.nonce,
        "at": entry.appended_at,
        "ops": entry.op_count,
        "size": entry.byte_size,
        "payload": entry.payload_key,
        "ttl_key": entry.ttl_key,
    }
    if entry.batch_count != 1:
        head["batches"] = entry.batch_count
    return orjson.dumps(head, option=orjson.OPT_APPEND_NEWLINE) + (entry.payload or b"")


def decode(item: Item) -> Entry:
    """The entry that an item holds. Raises Corrupt, UnsupportedFormat."""
    line, newline, payload = item.value.partition(b"\n")
    try:
        head = orjson.loads(line)
        if not newline:
            raise Corrupt(f"{item.pk} {item.sk} is not a log entry")
        if head["format"] not in (_ONE_BATCH, FORMAT):
            raise UnsupportedFormat(f"{item.pk} {item.sk}", head["format"], FORMAT)
        return Entry(
            seq=int(item.sk.removeprefix(LOG)),
            kind=EntryKind(head["kind"]),
            nonce=head["nonce"],
            appended_at=head["at"],
            op_count=head["ops"],
            byte_size=head["size"],
            payload_key=head["payload"],
            payload=payload or None,
            ttl_key=head["ttl_key"],
            batch_count=1 if head["format"] == _ONE_BATCH else head["batches"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{item.pk} {item.sk} cannot be read: {error}") from error


def placeholder_for(entry: Entry) -> Entry:
    """The placeholder that occupies the number of a flushed entry. It still names the object of its batch, if any."""
    return Entry(entry.seq, EntryKind.PLACEHOLDER, entry.nonce, entry.appended_at, payload_key=entry.payload_key)
