"""Writes the lists of a clustered segment: encodes its rows, and measures the breadth that the promised recall needs.

1. Encode list by list, in one pass over the vectors, which are in list order already; write the file `lists`.
2. Search a sample of rows exactly. A true neighbour is found if one of its lists is probed: its rank among the lists of
   its query, and how much farther than the nearest one it is, are the breadth that it needs (`breadth`, `within`). In
   the probed lists, its rank by estimated distance is the number of candidates that must be rescored (`rescored`). Of
   neighbours that are equally far any will do.
3. Write the file `binary_codes`; how many rows a shortlist by them must have, is measured too (`shortlist`).
4. Write the file `centroids`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from afterglow.segment import array_file, binary_codes, breadth, lists, progress
from afterglow.segment.array_file import ArrayStream
from afterglow.segment.binary_codes import BINARY_CODES
from afterglow.segment.breadth import Breadth, Sample
from afterglow.segment.clustering import Clustering
from afterglow.segment.code_depths import CodedRows, depths
from afterglow.segment.distance import Vectors
from afterglow.segment.list_index import CENTROIDS, LISTS
from afterglow.segment.lists import Centroids, EntryViews, ListSearch
from afterglow.segment.progress import OnShare
from afterglow.segment.row_encoding import encoded_rows
from afterglow.segment.scaled_codes import encode
from afterglow.storage.file_map import release_pages

_SAMPLE = 512
_RESCORING_SHARE = 0.002
"""The recall that may be lost because a neighbour is not rescored; the rest of the loss is for lists not probed."""
_ENCODING_SHARE = 0.1
"""The share of the time that it takes to write the lists, and not to measure them, of rows that are hard to find."""
_SHORTLIST_SHARE = 0.01
"""The recall that may be lost in a shortlist by binary codes; searches that need one probe more lists than others."""
UNSEEN_MARGIN = 0.002
"""Queries that are no rows find a little less than those of the sample, which took part in the clustering."""
_RELEASE_LISTS = 256
_MIN_RESCORED = 2
_RESCORED_KS = (10, 100)
_CERTAIN_K = 10
_RESCORED_NEIGHBORS = 2_500
"""About so many neighbours of the sample are searched for the depth of rescoring."""
_MAX_RESCORED = 32
"""Times k: neighbours beyond it count as if they came next."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """The rows of the new segment in list order: `vectors` float32 (n, d), mapped, squared `norms`, `row_seqs`.

    `record_offsets` and `record_lengths`, int64 (n,), say where their records are in the file `records`. Checksums,
    uint64 (n,), are the xxh3-64 of each row's bytes in `vectors` and in `records`.
    """

    vectors: Vectors
    norms: Vectors
    row_seqs: NDArray[np.int64]
    vector_checksums: NDArray[np.uint64]
    record_offsets: NDArray[np.int64]
    record_lengths: NDArray[np.int64]
    record_checksums: NDArray[np.uint64]

    @property
    def record_bytes(self) -> int:
        """The size of all records."""
        return int(self.record_lengths.sum())


def write(
    paths: Mapping[str, Path],
    clustering: Clustering,
    rows: StoredRows,
    target: float,
    *,
    on_share: OnShare = progress.ignore,
) -> dict[str, str]:
    """Write the files `lists`, `binary_codes` and `centroids`; their checksums. `target` is the recall, 0 to 1.

    `on_share` receives the share of the time.
    """
    codes, scales = encode(clustering.centroids)
    decoded = codes * scales[:, np.newaxis]
    counts = np.diff(clustering.starts) + np.diff(clustering.copy_starts)
    entry_starts = np.concatenate([[0], np.cumsum(counts)])
    shape = int(entry_starts[-1]), lists.entry_bytes(clustering.projection.width)
    checksums = np.empty(len(counts), dtype=np.uint64)
    chunks = _encode_lists(clustering, rows, decoded, checksums, progress.part(on_share, 0, _ENCODING_SHARE))
    sums = {LISTS: array_file.write(paths[LISTS], LISTS, {}, {LISTS: ArrayStream("|u1", shape, chunks)})}
    projection = clustering.projection
    size = binary_codes.entry_bytes(projection.width)
    stream = encoded_rows(clustering, decoded, rows.vectors, binary_codes.encode, size)
    sums[BINARY_CODES] = array_file.write(paths[BINARY_CODES], BINARY_CODES, {}, {BINARY_CODES: stream})
    arrays: dict[str, NDArray[Any]] = {
        "codes": codes,
        "scales": scales,
        "origin": projection.origin,
        "starts": clustering.starts,
        "entry_starts": entry_starts,
        "checksums": checksums,
    }
    meta = {
        "version": lists.VERSION,
        "space": projection.space.value,
        "unit": projection.unit,
        "bound": projection.bound,
        "record_bytes": rows.record_bytes,
    }
    # Until it is measured, every search visits everything.
    unlimited = Breadth(1.0, (1,), (float(len(codes)),)).to_json()
    provisional = Centroids("the new segment", {**meta, "breadth": unlimited, "rescored": unlimited}, arrays)
    search = ListSearch(provisional, array_file.map_arrays(paths[LISTS], LISTS)[LISTS])
    on_measured = progress.part(on_share, _ENCODING_SHARE, 1)
    measured = _measure(provisional, search, clustering, rows, target, on_share=on_measured)
    entries = array_file.map_arrays(paths[BINARY_CODES], BINARY_CODES)[BINARY_CODES]
    coded = CodedRows(rows.vectors, rows.norms, entries, clustering.starts, decoded, projection, binary_codes.estimates)
    shortlist = depths(coded, _RESCORED_KS, 1 - _SHORTLIST_SHARE)
    measured["shortlist"] = Breadth(target, _RESCORED_KS, tuple(shortlist)).to_json()
    sums[CENTROIDS] = array_file.write(paths[CENTROIDS], CENTROIDS, {**meta, **measured}, arrays)
    return sums


def _encode_lists(
    clustering: Clustering, rows: StoredRows, decoded: Vectors, checksums: NDArray[np.uint64], on_share: OnShare
) -> Iterator[NDArray[np.uint8]]:
    """The entries of each list; fills in the checksums of the lists, and reports the share of the rows encoded."""
    projection = clustering.projection
    starts, copy_starts = clustering.starts, clustering.copy_starts
    for number in range(len(decoded)):
        own = np.arange(starts[number], starts[number + 1])
        members = np.concatenate([own, clustering.copies[copy_starts[number] : copy_starts[number + 1]]])
        residuals = projection.rows(rows.vectors[members]) - decoded[number]
        codes, scales = encode(residuals)
        entries = np.zeros((len(members), lists.entry_bytes(projection.width)), dtype=np.uint8)
        views = EntryViews.of(entries, projection.width)
        views.rows[:] = members
        views.scales[:] = scales
        views.norms[:] = np.einsum("ij,ij->i", residuals, residuals)
        views.record_lengths[:] = rows.record_lengths[members]
        views.record_offsets[:] = rows.record_offsets[members]
        views.record_checksums[:] = rows.record_checksums[members]
        views.vector_checksums[:] = rows.vector_checksums[members]
        views.row_seqs[:] = rows.row_seqs[members]
        views.codes[:] = codes
        checksums[number] = xxhash.xxh3_64_intdigest(entries.data)
        if number % _RELEASE_LISTS == 0:
            release_pages(rows.vectors)
        yield entries
        on_share(float(starts[number + 1] / starts[-1]))


def _measure(
    centroids: Centroids,
    search: ListSearch,
    clustering: Clustering,
    rows: StoredRows,
    target: float,
    *,
    on_share: OnShare,
) -> dict[str, Any]:
    """The tables `breadth` and `rescored`, as in the meta of the file."""
    projection = clustering.projection
    sample = breadth.exact_sample(projection.space, rows.vectors, rows.norms, _SAMPLE)
    release_pages(rows.vectors)
    if sample is None:
        every = Breadth(target, (1,), (float(len(centroids)),))
        return {"breadth": every.to_json(), "rescored": every.to_json()}
    queries = [projection.query(vector) for vector in rows.vectors[sample.rows]]
    distances = [centroids.distances(query) for query in queries]
    list_ranks = _list_ranks(clustering, sample, distances)
    ranks = breadth.ascending_in_ties(list_ranks, sample.distances)
    ks = tuple(sample.depths())
    probed_share = min(target + _RESCORING_SHARE + UNSEEN_MARGIN, 1.0)
    usual = float(np.median([values.min() for values in distances]))
    measured = [breadth.limits(ranks[:, :k], distances, usual, probed_share) for k in ks]
    probed, within = _ascending(np.array(measured), ks).T

    rescored: list[float] = []
    rescored_ks = tuple(k for k in ks if k in _RESCORED_KS) or ks[-1:]
    for table, k in enumerate(rescored_ks):
        most, excess = int(probed[ks.index(k)]), float(within[ks.index(k)])
        step = max(len(queries) * k // _RESCORED_NEIGHBORS, 1)
        needed = np.empty((len(range(0, len(queries), step)), k))
        for position, number in enumerate(range(0, len(queries), step)):
            nearest = lists.nearest_lists(distances[number], most)
            first = float(distances[number].min())
            farthest = first + excess * breadth.remoteness(first, usual)
            nearest = nearest[distances[number][nearest] <= farthest]
            found = search.search(queries[number], nearest, None, _MAX_RESCORED * k + 1).places.rows
            needed[position] = _positions(found[found != sample.rows[number]], sample.neighbors[number, :k])
            needed[position, list_ranks[number, :k] > len(nearest)] = np.inf
            on_share((table + (position + 1) / len(needed)) / len(rescored_ks))
        needed = breadth.ascending_in_ties(needed, sample.distances[::step, :k])
        is_found = np.isfinite(needed)
        depth = breadth.least_sufficient(needed[is_found], 1 - _RESCORING_SHARE) if is_found.any() else k
        rescored.append(max(depth, float(_MIN_RESCORED * k)))
    return {
        "breadth": Breadth(target, ks, tuple(probed.tolist())).to_json(),
        "within": Breadth(target, ks, tuple(within.tolist())).to_json(),
        "usual": usual,
        "rescored": Breadth(target, rescored_ks, tuple(np.maximum.accumulate(rescored).tolist())).to_json(),
    }


def _ascending(measured: NDArray[np.float64], ks: tuple[int, ...]) -> NDArray[np.float64]:
    """The measured numbers (m, 2) of ascending k, ascending too; those for few neighbours are the least certain."""
    certain = next((number for number, k in enumerate(ks) if k >= _CERTAIN_K), len(ks) - 1)
    fewer = np.minimum.accumulate(measured[certain::-1], axis=0)[::-1]
    return np.concatenate([fewer[:-1], np.maximum.accumulate(measured[certain:], axis=0)])


def _positions(found: NDArray[np.int64], neighbors: NDArray[np.int64]) -> NDArray[np.float64]:
    """The position of each neighbour (k,) among the rows found, from 1; one more than there are if it is not found."""
    order = np.argsort(found)
    candidates = np.append(order, len(found))[np.searchsorted(found, neighbors, sorter=order)]
    is_found = np.append(found, -1)[candidates] == neighbors
    return np.where(is_found, candidates + 1.0, len(found) + 1.0)


def _list_ranks(clustering: Clustering, sample: Sample, distances: list[Vectors]) -> NDArray[np.int64]:
    """For each query and each of its neighbours the number of lists to probe until the neighbour is found, (m, k)."""
    starts = clustering.starts
    copy_lists = np.repeat(np.arange(len(starts) - 1), np.diff(clustering.copy_starts))
    by_row = np.argsort(clustering.copies, kind="stable")
    copied_rows = clustering.copies[by_row]
    lists_of_copies = copy_lists[by_row]
    result = np.empty(sample.neighbors.shape, dtype=np.int64)
    for number, neighbors in enumerate(sample.neighbors):
        rank = np.empty(len(starts) - 1, dtype=np.int64)
        rank[np.argsort(distances[number], kind="stable")] = np.arange(1, len(rank) + 1)
        ranks = rank[lists.lists_of(starts, neighbors)]
        first = np.searchsorted(copied_rows, neighbors, side="left")
        last = np.searchsorted(copied_rows, neighbors, side="right")
        for position in np.flatnonzero(last > first).tolist():
            ranks[position] = min(ranks[position], rank[lists_of_copies[first[position] : last[position]]].min())
        result[number] = ranks
    return result
