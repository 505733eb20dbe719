"""Texts that grow by appending, and snapshots of them.

One writer at a time (the caller sees to that); the snapshots may be read by anyone, for as long as they like.
"""

from collections.abc import Sequence

import numpy as np

from afterglow.columns.ranges import Buffer
from afterglow.columns.texts import Texts, joined


class GrowingTexts:
    """The texts of a part that is still being written."""

    def __init__(self) -> None:
        self._blob = Buffer(np.uint8, capacity=4096)
        self._offsets = Buffer(np.uint64, capacity=16)
        self._offsets.extend((0,))
        self._present = Buffer(np.bool_, capacity=16)
        self._is_complete = True

    def __len__(self) -> int:
        return len(self._present)

    def append(self, texts: Sequence[bytes | None]) -> None:
        """Add one row per text (UTF-8; None: the row has none), in amortised time of their bytes."""
        if not texts:
            return
        blob, offsets, present = joined(texts)
        self._offsets.extend(offsets[1:] + np.uint64(len(self._blob)))
        self._blob.extend(blob)
        self._present.extend(np.ones(len(texts), dtype=np.bool_) if present is None else present)
        self._is_complete = self._is_complete and present is None

    def view(self) -> Texts:
        """All rows so far; later appends do not disturb it."""
        present = None if self._is_complete else self._present.view()
        return Texts(self._blob.view(), self._offsets.view(), present)
