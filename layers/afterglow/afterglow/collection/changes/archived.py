"""The archived entries of a collection in order, from any number on.

Small archives are read whole, many in parallel. A large one is indexed at first (`log.archive_index`), so that each
further page of it costs one range; the indexes of the latest few are cached.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from uuid import UUID

from afterglow.errors import Corrupt
from afterglow.log import archive, archive_index
from afterglow.log.archive import Archive
from afterglow.log.archive_index import ArchiveIndex
from afterglow.log.entry import Entry
from afterglow.storage.ports import ObjectNotFound, Objects

_SMALL_BYTES = 4 * 1024 * 1024
_GROUP = 64
"""Small archives read in parallel, of `_SMALL_BYTES` together."""
_MAX_INDEXES = 16


class ArchivedEntries:
    """Reads archives, with a cache of indexes. Safe for any number of threads."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._indexes: OrderedDict[str, ArchiveIndex] = OrderedDict()
        self._lock = threading.Lock()

    def first_after(self, collection_id: UUID, seq: int) -> int | None:
        """The number of the first archived entry from `seq` + 1 on, None if there is none."""
        following = next(archive.list_archives(self._objects, collection_id, seq), None)
        return None if following is None else max(following.first, seq + 1)

    def after(self, collection_id: UUID, seq: int, max_bytes: int) -> Iterator[list[Entry]]:
        """Runs of about `max_bytes` of the entries `seq` + 1, `seq` + 2, … as far as archives have them without a gap.

        Raises ObjectNotFound, Corrupt, Unavailable.
        """
        group: list[Archive] = []
        for listed in archive.list_archives(self._objects, collection_id, seq):
            end = group[-1].last if group else seq
            if listed.last <= end:
                continue
            if listed.first > end + 1:
                break
            if listed.size > _SMALL_BYTES:
                if group:
                    yield self._small(group, seq)
                    seq, group = end, []
                while seq < listed.last:
                    run = archive_index.read(self._objects, self._index(listed), seq + 1, max_bytes)
                    yield run
                    seq = run[-1].seq
                continue
            if group and (len(group) == _GROUP or sum(small.size for small in group) + listed.size > _SMALL_BYTES):
                yield self._small(group, seq)
                seq, group = end, []
            group.append(listed)
        if group:
            yield self._small(group, seq)

    def _small(self, group: list[Archive], seq: int) -> list[Entry]:
        """The entries of consecutive archives after `seq`; archives may overlap after a race between indexers."""
        run: list[Entry] = []
        for listed, content in zip(group, self._objects.get_many([small.key for small in group]), strict=True):
            if content is None:
                raise ObjectNotFound(f"object {listed.key} does not exist")
            run += [entry for entry in archive.decode(content, listed.key) if entry.seq > (run[-1].seq if run else seq)]
        if [entry.seq for entry in run] != list(range(seq + 1, group[-1].last + 1)):
            raise Corrupt(f"{group[0].key} to {group[-1].key} do not hold the entries {seq + 1} to {group[-1].last}")
        return run

    def _index(self, listed: Archive) -> ArchiveIndex:
        with self._lock:
            index = self._indexes.get(listed.key)
            if index is not None:
                self._indexes.move_to_end(listed.key)
                return index
        index = archive_index.build(self._objects, listed)
        with self._lock:
            self._indexes[listed.key] = index
            while len(self._indexes) > _MAX_INDEXES:
                self._indexes.popitem(last=False)
        return index
