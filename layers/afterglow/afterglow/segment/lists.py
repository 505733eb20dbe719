"""The lists of a clustered segment: an inverted file index over 8-bit residuals, searched in memory or cold.

Two files. `centroids` is read whole when the segment is opened; of `lists` a query reads the lists it probes::

    centroids   codes i8 (l, w), scales f4 (l)     centroid = code × scale + origin, in the projected space
                origin f4 (w)                      see `segment.projection`
                starts i8 (l + 1)                  list l holds rows starts[l] … starts[l + 1] − 1 of the segment …
                entry_starts i8 (l + 1)            … and these entries of `lists`: its rows, then its copies
                checksums u8 (l)                   xxh3-64 of the bytes of each list
                meta                               the projection, the breadth, the number of candidates, the size of
                                                   all records

    lists       entries u1 (e, 48 + w, padded to 8), one after the other:
                row u4 · scale f4 · norm f4 · record length u4 · record offset u8 · xxh3-64 of the record u8
                · xxh3-64 of the vector u8 · insertion sequence number i8 · code i8 (w)

An entry encodes the residual r = row − centroid as code × scale; its norm is |r|². So

    |q − x|² ≈ |q − c|² + |r|² − 2 (q − c)·r,    (q − c) in 8 bits as well,

which ranks the entries; the caller computes exact distances from the float32 vectors of the best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.arrays import slice_indices
from afterglow.errors import Corrupt, UnsupportedFormat
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.segment.breadth import Breadth
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.places import Places
from afterglow.segment.projection import Projection
from afterglow.segment.scaled_codes import encode, products, products_by_entry, products_by_list

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

VERSION = 1
HEADER_BYTES = 48
DEFAULT_EF_SEARCH = 100
_HEAD = 8
"""So many times as many keys as are looked for are a good part to begin with."""
_MANY = 64
"""From one row in so many on, a table of the lists of all rows is made faster than the list of each is looked up."""
_MOST = 0.2
"""Products with all entries of a list take a fifth of the time of as many with entries here and there."""


def entry_bytes(width: int) -> int:
    """The size of an entry."""
    return -(-(HEADER_BYTES + width) // 8) * 8


def field(entries: NDArray[np.uint8], start: int, dtype: str) -> NDArray[Any]:
    """A field of every entry, of u1 (e, entry_bytes), as a view."""
    return entries[:, start : start + np.dtype(dtype).itemsize].view(dtype)[:, 0]


def lists_of(starts: Rows, rows: Rows) -> Rows:
    """The list of each row, whatever the shape of `rows`; list l has the rows ``starts[l]`` … ``starts[l + 1] - 1``."""
    if _MANY * rows.size < starts[-1]:
        return np.searchsorted(starts, rows, side="right") - 1
    every = np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))
    return every[rows].astype(np.int64)


@dataclass(frozen=True, slots=True)
class EntryViews:
    """The fields of the entries, as views of u1 (e, entry_bytes)."""

    rows: NDArray[np.uint32]
    scales: Vectors
    norms: Vectors
    record_lengths: NDArray[np.uint32]
    record_offsets: NDArray[np.uint64]
    record_checksums: NDArray[np.uint64]
    vector_checksums: NDArray[np.uint64]
    row_seqs: Rows
    codes: NDArray[np.int8]

    @staticmethod
    def of(entries: NDArray[np.uint8], width: int) -> "EntryViews":
        """The views."""
        return EntryViews(
            rows=field(entries, 0, "<u4"),
            scales=field(entries, 4, "<f4"),
            norms=field(entries, 8, "<f4"),
            record_lengths=field(entries, 12, "<u4"),
            record_offsets=field(entries, 16, "<u8"),
            record_checksums=field(entries, 24, "<u8"),
            vector_checksums=field(entries, 32, "<u8"),
            row_seqs=field(entries, 40, "<i8"),
            codes=entries[:, HEADER_BYTES : HEADER_BYTES + width].view(np.int8),
        )


def places_of(views: EntryViews, entries: Rows) -> Places:
    """The places of the rows of these entries."""
    return Places(
        views.rows[entries].astype(np.int64),
        views.row_seqs[entries],
        views.record_offsets[entries].astype(np.int64),
        views.record_lengths[entries].astype(np.int64),
        views.record_checksums[entries],
        views.vector_checksums[entries],
    )


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows by estimated distance, nearest first; `keys` compare across segments."""

    places: Places
    keys: NDArray[np.float64]


class Centroids:
    """The open file `centroids`."""

    def __init__(self, name: str, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Raises Corrupt, UnsupportedFormat."""
        if meta.get("version") != VERSION:
            raise UnsupportedFormat(name, meta.get("version"), VERSION)
        try:
            space, unit, bound = Space(meta["space"]), float(meta["unit"]), float(meta["bound"])
            self.projection = Projection(space, unit, bound, arrays["origin"])
            self.breadth = Breadth.from_json(meta["breadth"])
            self.rescored = Breadth.from_json(meta["rescored"])
            # A release before it measured the number of lists alone.
            self.within = Breadth.from_json(meta["within"]) if "within" in meta else None
            self.usual = float(meta.get("usual", 0))
            # Likewise a segment without binary codes.
            self.shortlist = Breadth.from_json(meta["shortlist"]) if "shortlist" in meta else None
            self.codes: NDArray[np.int8] = arrays["codes"]
            self.scales: Vectors = arrays["scales"]
            self.starts: Rows = arrays["starts"]
            self.entry_starts: Rows = arrays["entry_starts"]
            self.checksums: NDArray[np.uint64] = arrays["checksums"]
            self.record_bytes = int(meta["record_bytes"])
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt(f"{name} cannot be read: {error}; {RESTORE_HINT}") from error
        lists, width = self.codes.shape
        lengths = (len(self.scales), len(self.checksums), len(self.starts) - 1, len(self.entry_starts) - 1)
        if not lists or width != self.projection.width or lengths != (lists,) * 4:
            raise Corrupt(f"{name} has arrays of other lengths than its {lists} lists; {RESTORE_HINT}")
        decoded_norms = np.einsum("ij,ij->i", self.codes, self.codes, dtype=np.float32)
        self._norms = decoded_norms * self.scales**2

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def entries(self) -> int:
        """The number of entries in all lists."""
        return int(self.entry_starts[-1])

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.starts[-1])

    def distances(self, query: Vectors) -> Vectors:
        """Squared distances (l,) from a projected query to the centroids, the query in 8 bits."""
        code, scale = encode(query[np.newaxis])
        dots = products(code, self.codes)
        result: Vectors = (self._norms - 2 * scale[0] * self.scales * dots + query @ query).astype(np.float32)
        return result

    def entries_of(self, lists: Rows) -> tuple[Rows, Rows]:
        """The entries of these lists, one list after the other, and the number of entries of each."""
        return _members(self.entry_starts, lists)

    def rows_of(self, lists: Rows) -> tuple[Rows, Rows]:
        """The rows of these lists, one list after the other, and the number of rows of each."""
        return _members(self.starts, lists)

    def decoded(self, lists: Rows) -> Vectors:
        """The centroids of these lists in float32, less the origin."""
        vectors: Vectors = self.codes[lists] * self.scales[lists, np.newaxis]
        return vectors


def _members(starts: Rows, lists: Rows) -> tuple[Rows, Rows]:
    firsts = starts[lists]
    lengths = starts[lists + 1] - firsts
    return slice_indices(firsts, lengths)[0], lengths


class ListSearch:
    """The lists of a segment, of which those that a search names are present."""

    def __init__(self, centroids: Centroids, entries: NDArray[np.uint8]) -> None:
        """`entries`: the array of the file `lists`."""
        self._centroids = centroids
        self.views = EntryViews.of(entries, centroids.projection.width)

    def search(self, query: Vectors, lists: Rows, mask: Mask | None, count: int) -> Candidates:
        """At most `count` rows inside the mask, among the entries of these lists, nearest to a projected query.

        `mask` has one element per row of the segment, None: all rows.
        """
        centroids, views = self._centroids, self.views
        differences = query - centroids.decoded(lists)
        codes, scales = encode(differences)
        every, lengths = centroids.entries_of(lists)
        entries, numbers = every, np.repeat(np.arange(len(lists)), lengths)
        is_match: Mask | slice = slice(None)
        if mask is not None:
            is_match = self._are_inside(mask, lists, every, lengths)
            entries, numbers = every[is_match], numbers[is_match]
        if len(entries) >= _MOST * len(every):
            starts = centroids.entry_starts[lists]
            dots = products_by_list(codes, views.codes, starts.tolist(), lengths.tolist())[is_match]
        else:
            dots = products_by_entry(codes, numbers, views.codes, entries)
        offsets = np.einsum("ij,ij->i", differences, differences)[numbers]
        offsets += views.norms[entries]
        factors = (2 * scales)[numbers]
        factors *= views.scales[entries]
        dots *= factors
        return self._best(entries, np.subtract(offsets, dots, out=dots), count)

    def _are_inside(self, mask: Mask, lists: Rows, every: Rows, lengths: Rows) -> Mask:
        """Which of the entries of these lists, one list after the other, are of rows inside the mask."""
        # A list begins with its own rows, whose numbers are known; only those of its copies are in the entries.
        rows, own = self._centroids.rows_of(lists)
        result: Mask = np.empty(len(every), dtype=np.bool_)
        is_own = np.repeat(np.tile([True, False], len(lists)), np.stack([own, lengths - own], axis=1).ravel())
        result[is_own] = mask[rows]
        copies = np.flatnonzero(~is_own)
        result[copies] = mask[self.views.rows[every[copies]]]
        return result

    def _best(self, entries: Rows, keys: NDArray[np.float64], count: int) -> Candidates:
        # A row may have up to four entries; the best `count` rows are among the best 4 × count entries.
        nearest = _smallest(keys, 4 * count)
        entries, keys = entries[nearest], keys[nearest]
        order = np.argsort(keys, kind="stable")
        entries, keys = entries[order], keys[order]
        rows = self.views.rows[entries].astype(np.int64)
        firsts = np.sort(np.unique(rows, return_index=True)[1])[:count]
        return Candidates(places_of(self.views, entries[firsts]), self._centroids.projection.comparable(keys[firsts]))


def nearest_lists(distances: NDArray[Any], count: int) -> Rows:
    """The `count` smallest of the distances, nearest first."""
    if count < len(distances):
        nearest = _smallest(distances, count)
        return nearest[np.argsort(distances[nearest], kind="stable")]
    return np.argsort(distances, kind="stable")


def bound_of_best(keys: Sequence[NDArray[np.float64]], count: int) -> float:
    """The largest of the `count` smallest keys of all arrays together; infinite if there are not more."""
    every = np.concatenate(keys)
    return np.inf if len(every) <= count else float(np.partition(every, count - 1)[count - 1])


def _smallest(keys: NDArray[Any], count: int) -> Rows:
    """The positions of the `count` smallest keys, in no order; all if there are not more.

    Keys larger than enough of the first ones are left out: the first are those of the nearest lists.
    """
    if count >= len(keys):
        return np.arange(len(keys))
    head = _HEAD * (count + 1)
    if head >= len(keys):
        return np.argpartition(keys, count)[:count]
    is_larger = keys > np.partition(keys[:head], count)[count]
    possible = np.flatnonzero(~is_larger)
    result: Rows = possible[np.argpartition(keys[possible], count)[:count]]
    return result
