"""Verification of what only the past needs: older manifests with their files, archives of the log, and batches.

Points in time, restores and forks read them. Each listed object is read completely. Garbage may be collected meanwhile:
what an object refers to counts as missing only if that object still exists afterwards.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from afterglow.catalog.model import Collection
from afterglow.errors import Corrupt
from afterglow.jobs import checksums
from afterglow.log import archive
from afterglow.log import entry as entries
from afterglow.log import payload as payloads
from afterglow.segment import manifest as manifests
from afterglow.segment.manifest import Manifest
from afterglow.storage.ports import ObjectNotFound, Stores

OnBytesRead = Callable[[int], None]
"""Callback with the number of bytes just verified."""


@dataclass(slots=True)
class RetainedCheck:
    """The check of one collection. `checked` are the keys of objects that were verified already."""

    stores: Stores
    state: Collection
    on_bytes_read: OnBytesRead
    checked: set[str] = field(default_factory=set)
    byte_size: int = 0

    def problems(self) -> Iterator[str]:
        """The problems, one sentence each. Raises Unavailable."""
        keys = list(manifests.list_keys(self.stores.objects, self.state.id))
        if self.state.fork_base is not None:
            keys.append(self.state.fork_base)
        for key in keys:
            if key not in self.checked:
                yield from self._manifest(key)
        for info in self.stores.objects.list(entries.payload_prefix(self.state.id)):
            if entries.is_payload_key(info.key, self.state.id) and info.key not in self.checked:
                yield from self._batch(info.key, is_required=False)
        yield from self._archives([manifests.parse_key(key).flushed_seq for key in keys])

    def _manifest(self, key: str) -> Iterator[str]:
        self.checked.add(key)
        try:
            manifest = manifests.load(self.stores.objects, key)
        except ObjectNotFound:
            return
        except Corrupt as error:
            yield error.message
            return
        yield from self._files(key, manifest)

    def _files(self, key: str, manifest: Manifest) -> Iterator[str]:
        for file in (file for segment in manifest.segments for file in segment.objects):
            if file.key in self.checked:
                continue
            self.checked.add(file.key)
            problem = checksums.checksum_problem(self.stores.objects, file)
            self._read(file.size)
            if problem is not None and self._exists(key):
                yield f"object {file.key} of manifest {key} {problem}"

    def _batch(self, key: str, *, is_required: bool) -> Iterator[str]:
        self.checked.add(key)
        try:
            frame = self.stores.objects.get(key)
            self._read(len(frame))
            payloads.decode(frame, f"object {key}")
        except ObjectNotFound as error:
            if is_required:
                yield error.message
        except Corrupt as error:
            yield error.message

    def _archives(self, flushed: list[int]) -> Iterator[str]:
        archives = list(archive.list_archives(self.stores.objects, self.state.id))
        is_complete = bool(archives) and archives[0].first == self.state.fork_position + 1
        oldest = self.state.fork_position if is_complete else min(flushed, default=0)
        for ref in archives:
            try:
                archived = archive.load(self.stores.objects, ref)
            except ObjectNotFound:
                continue
            except Corrupt as error:
                yield error.message
                continue
            for entry in archived:
                key = entry.payload_key
                if key is not None and key not in self.checked and entry.seq > oldest:
                    problems = list(self._batch(key, is_required=True))
                    if problems and self._exists(ref.key):
                        yield from problems

    def _read(self, size: int) -> None:
        self.byte_size += size
        self.on_bytes_read(size)

    def _exists(self, key: str) -> bool:
        try:
            self.stores.objects.get(key, 0, 1)
        except ObjectNotFound:
            return False
        return True
