"""Comparing what is stored with the checksums that a manifest names, a piece at a time."""

import xxhash

from afterglow.segment.array_file import FileRef
from afterglow.storage.ports import ObjectNotFound, Objects

MISSING = "is missing"
DAMAGED = "does not match its checksum"

_CHUNK_BYTES = 8 * 1024 * 1024


def checksum_problem(objects: Objects, file: FileRef) -> str | None:
    """What is wrong with an object, as a manifest names it; None: nothing. Raises Unavailable."""
    digest, position = xxhash.xxh3_128(), 0
    try:
        while position < file.size and (piece := objects.get(file.key, position, _CHUNK_BYTES)):
            digest.update(piece)
            position += len(piece)
    except ObjectNotFound:
        return MISSING
    return None if digest.hexdigest() == file.checksum else DAMAGED
