"""What an inventory of a collection consists of."""

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum

from afterglow.bulk.chroma_directory.descriptions import Description
from afterglow.bulk.chroma_directory.hnsw_files import VectorFiles


class Part(IntEnum):
    """What becomes of an id."""

    RECORDS = 0
    WITHOUT_VECTORS = 1
    LEFTOVERS = 2
    DELETED = 3
    """No longer there, without a vector."""
    DELETED_VECTORS = 4
    """No longer there, with a vector among the bytes that SQLite does not use."""
    UNCERTAIN = 5
    """Records whose vector may be that of another one."""


SUFFIXES = {
    Part.RECORDS: "",
    Part.WITHOUT_VECTORS: ".without-vectors",
    Part.UNCERTAIN: ".uncertain",
    Part.LEFTOVERS: ".leftovers",
    Part.DELETED_VECTORS: ".deleted",
}
"""What is added to the name of a collection for the parts that are saved."""


class Origin(IntEnum):
    """Where the vector of a record is."""

    NOWHERE = 0
    FILES = 1
    QUEUE = 2
    UNUSED = 3
    """In a deleted row of the queue, among the bytes that SQLite does not use."""


@dataclass(slots=True)
class Inventory:
    """The result for one collection: counts by part and by origin, and the files with its vectors."""

    description: Description
    dimension: int | None = None
    files: dict[str, VectorFiles] = field(default_factory=dict)
    parts: Counter[Part] = field(default_factory=Counter)
    origins: Counter[Origin] = field(default_factory=Counter)
    damage: list[str] = field(default_factory=list)
    is_mixed: bool = False
    """Whether several processes wrote its files, so that vectors may belong to other ids."""
