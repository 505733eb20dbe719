"""One entry of the log, as the value of a `LOG#<number>` item.

The value is a line of JSON (`format`, `kind`, `nonce`, `ops`, `size`, `object`), a newline, and for an inline batch
its frame (`log.batch`). `size` is the length of the frame in bytes, wherever it is.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import orjson

from afterglow.errors import Corrupt
from afterglow.storage.ports import Item

FORMAT = 1
LOG = "LOG#"
BEFORE_ALL = LOG
AFTER_ALL = "LOG$"
_DIGITS = 20


class Kind(StrEnum):
    """What an entry is."""

    BATCH = "batch"
    STUB = "stub"
    FENCE = "fence"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry at number `seq`. A batch lies in `frame`, or under the key `object` where it was too large."""

    seq: int
    kind: Kind
    nonce: str
    ops: int = 0
    size: int = 0
    object: str | None = None
    frame: bytes | None = None


def key(seq: int) -> str:
    """The sort key of entry `seq`."""
    return f"{LOG}{seq:0{_DIGITS}}"


def payload_key(collection_id: UUID, nonce: str) -> str:
    """Where a batch too large for the table is stored."""
    return f"{payload_prefix(collection_id)}{nonce}.batch"


def payload_prefix(collection_id: UUID) -> str:
    """Under which all of a collection's batches are stored."""
    return f"{collection_id}/log/"


def encode(entry: Entry) -> bytes:
    """The value of the entry's item."""
    head = {
        "format": FORMAT,
        "kind": entry.kind,
        "nonce": entry.nonce,
        "ops": entry.ops,
        "size": entry.size,
        "object": entry.object,
    }
    return orjson.dumps(head, option=orjson.OPT_APPEND_NEWLINE) + (entry.frame or b"")


def decode(item: Item) -> Entry:
    """The entry that an item holds. Raises Corrupt."""
    line, newline, frame = item.value.partition(b"\n")
    try:
        head = orjson.loads(line)
        if not newline or head["format"] != FORMAT:
            raise Corrupt(f"{item.pk} {item.sk} is not a log entry of a known version")
        return Entry(
            seq=int(item.sk.removeprefix(LOG)),
            kind=Kind(head["kind"]),
            nonce=head["nonce"],
            ops=head["ops"],
            size=head["size"],
            object=head["object"],
            frame=frame or None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{item.pk} {item.sk} cannot be read: {error}") from error


def stub_of(entry: Entry) -> Entry:
    """What keeps the slot of a folded entry."""
    return Entry(entry.seq, Kind.STUB, entry.nonce)
