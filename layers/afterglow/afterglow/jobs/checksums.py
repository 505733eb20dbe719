"""Compares stored objects with the checksums in a manifest, one chunk at a time."""

import xxhash

from afterglow.segment.array_file import FileRef
from afterglow.storage.ports import ObjectNotFound, Objects

MISSING = "is missing"
DAMAGED = "does not match its checksum"

_CHUNK_BYTES = 8 * 1024 * 1024


def checksum_problem(objects: Objects, file: FileRef) -> str | None:
    """The difference between an object and its reference in a manifest, None if there is none. Raises Unavailable."""
    digest, position = xxhash.xxh3_128(), 0
    try:
        while position < file.size and (chunk := objects.get(file.key, position, _CHUNK_BYTES)):
            digest.update(chunk)
            position += len(chunk)
    except ObjectNotFound:
        return MISSING
    return None if digest.hexdigest() == file.checksum else DAMAGED
