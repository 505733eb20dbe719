"""The index that a process is building in a data directory, and its progress, for all processes of that directory.

The record of a build is in the file that the builder has locked, `compactor.lock`:

1. The builder locks the file, which empties it (`deployment.file_lock`).
2. It writes the record and overwrites it every now and then: the rows that will be indexed, a segment that holds some
   of them, and the share of the work that is done.
3. It commits the manifest with the index, and empties the file.

A reader reads the record first and the manifest afterwards. As long as the manifest lists that segment, the build is
not committed, and the share counts; afterwards the rows count as indexed, and the record is ignored. So the progress of
a collection does not fall back when a build is committed, nor when the next one begins.

*Crash after any step: the lock is free, so the record is ignored. What was built is lost, and the progress is that of
the manifest again.* The record has a checksum, because a reader may see half of a new one. It is not synced, as it
means nothing after its builder has ended.
"""

import fcntl
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import xxhash

_RECORD_BYTES = 512
_SUM_BYTES = 8
_READS = 20


@dataclass(frozen=True, slots=True)
class Build:
    """An index that is being built of `rows` rows of a collection that had none; `segment` holds some of them.

    `share`: how much of the work is done, 0 to 1.
    """

    collection: str
    segment: str
    rows: int
    share: float


class Builds:
    """The build in progress, in the lock file at `path`. Errors of the file system are ignored: it only informs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def report(self, build: Build) -> None:
        """Overwrite the record. The caller holds the lock."""
        text = orjson.dumps(asdict(build)).ljust(_RECORD_BYTES - _SUM_BYTES)
        with suppress(OSError), self._path.open("rb+", buffering=0) as file:
            file.write(xxhash.xxh3_64_digest(text) + text)

    def clear(self) -> None:
        """Remove the record. The caller holds the lock."""
        with suppress(OSError):
            os.truncate(self._path, 0)

    def current(self) -> Build | None:
        """The build in progress, if a process is at work and has reported one."""
        with suppress(OSError), self._path.open("rb", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read(file.fileno())
        return None


def _read(descriptor: int) -> Build | None:
    for _ in range(_READS):
        record = os.pread(descriptor, _RECORD_BYTES, 0)
        if not record:
            return None
        text = record[_SUM_BYTES:]
        if record[:_SUM_BYTES] == xxhash.xxh3_64_digest(text):
            return Build(**orjson.loads(text))
    return None
