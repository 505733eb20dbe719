"""New objects that belong together: if one cannot be written, all are removed at once.

A full disk would otherwise hold the remains of the very writes that were meant to free it.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from afterglow.errors import StorageFull, Unavailable
from afterglow.storage.ports import Objects


class NewFiles:
    """Temporary files, and the objects that they became."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._paths: list[Path] = []
        self._keys: list[str] = []

    def temporary_path(self, name: str) -> Path:
        """A path for a new file. Raises StorageFull, Unavailable."""
        path = self._objects.temporary_path(name)
        self._paths.append(path)
        return path

    def upload(self, key: str, path: Path) -> None:
        """Store the file at `path` as the object `key`."""
        self._keys.append(key)
        self._objects.upload(key, path)

    def remove(self) -> None:
        """Remove everything, as far as possible. No manifest may name the objects yet."""
        for path in self._paths:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        with suppress(Unavailable, StorageFull):
            self._objects.delete_many(self._keys)


@contextmanager
def removed_on_failure(objects: Objects) -> Iterator[NewFiles]:
    """New files; they are removed if the block ends with an exception."""
    files = NewFiles(objects)
    try:
        yield files
    except Exception:
        files.remove()
        raise
