"""Reads the vectors of a folder of HNSW files: `header.bin`, `data_level0.bin`, `length.bin`.

`data_level0.bin` has one element of fixed size for each vector:

    number of links (uint16), deletion mark (uint8), unused (uint8), links (uint32 × 2 M),
    vector (float32 × dimension), label (uint64)

`header.bin` has the sizes. If it is missing or damaged, they follow from the dimension and M: the layout is that under
which most labels of a sample are plausible. The file ends with elements that are not used yet, of arbitrary bytes.
`length.bin` has one float32 for each element: with cosine distance the files contain normalised vectors and their
lengths. The links of the upper levels, `link_lists.bin`, are not needed to read vectors.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DATA, HEADER, LENGTHS, LINKS, LABELS = (
    "data_level0.bin",
    "header.bin",
    "length.bin",
    "link_lists.bin",
    "index_metadata.pickle",
)
_HEADER = struct.Struct("<i6QiI3QdQ")
_VERSION = 1
_LABEL_BYTES = 8
_CHUNK_BYTES = 16 * 1024 * 1024
_SAMPLE_ROWS = 256
_DEFAULT_M = 16
_MAX_DIMENSION = 1_000_000
_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of an element. `count`: the number of used elements, `capacity`: of all; None if unknown."""

    links: int
    dimension: int
    count: int | None
    capacity: int | None = None

    @property
    def vector_offset(self) -> int:
        """Bytes before the vector."""
        return 4 + 4 * self.links

    @property
    def label_offset(self) -> int:
        """Bytes before the label."""
        return self.vector_offset + 4 * self.dimension

    @property
    def element_bytes(self) -> int:
        """Bytes of an element."""
        return self.label_offset + _LABEL_BYTES


@dataclass(slots=True)
class VectorFiles:
    """The vectors of one folder. `damage` describes what is wrong with the files."""

    folder: Path
    is_cosine: bool
    layout: Layout | None = None
    beyond: int = 0
    """The number of elements beyond the header's count that are in use; set when `elements` is exhausted."""
    damage: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Number of complete elements in the file."""
        return 0 if self.layout is None else (self.folder / DATA).stat().st_size // self.layout.element_bytes

    def elements(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
        """Rows and labels of the elements that are plausible and not deleted, in pages, used elements first.

        Elements beyond the header's count are those of an index that another process wrote, if they have neighbours;
        else arbitrary bytes.
        """
        if self.layout is None or not self.rows:
            return
        broken = 0
        used = self.rows if self.layout.count is None else min(self.layout.count, self.rows)
        step = max(1, _CHUNK_BYTES // self.layout.element_bytes)
        for start in range(0, self.rows, step):
            chunk = _read_chunk(self.folder / DATA, self.layout, start, min(start + step, self.rows), self.rows)
            rows = np.arange(start, start + len(chunk.labels))
            is_whole = chunk.is_plausible & self._are_vectors_whole(chunk.vectors)
            broken += int((~is_whole & ~chunk.is_deleted & (rows < used)).sum()) if self.layout.count is not None else 0
            is_live = is_whole & ~chunk.is_deleted & ((rows < used) | chunk.is_linked)
            self.beyond += int((is_live & (rows >= used)).sum())
            yield rows[is_live], chunk.labels[is_live]
        if broken:
            self.damage.append(f"{DATA}: {broken} of {used} elements are damaged")

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of these elements, float32 (n, dimension), as Chroma returns them."""
        assert self.layout is not None
        layout = self.layout
        data = np.memmap(self.folder / DATA, np.uint8, "r", shape=(self.rows, layout.element_bytes))
        picked = np.ascontiguousarray(data[rows, layout.vector_offset : layout.label_offset])
        vectors = picked.view("<f4").reshape(len(rows), layout.dimension)
        lengths = self._lengths(rows) if self.is_cosine else None
        return vectors if lengths is None else vectors * lengths[:, None]

    def _lengths(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The lengths of the vectors; 1 where the file has none."""
        lengths = np.ones(len(rows), np.float32)
        path = self.folder / LENGTHS
        count = path.stat().st_size // 4 if path.is_file() else 0
        if count:
            stored = np.memmap(path, "<f4", "r", shape=(count,))
            known = rows < count
            lengths[known] = stored[rows[known]]
            lengths[~_are_lengths(lengths)] = 1.0
        return lengths

    def _are_vectors_whole(self, vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
        is_whole = np.asarray(np.isfinite(vectors).all(axis=1))
        if self.is_cosine:
            with np.errstate(over="ignore", invalid="ignore"):
                norms = np.linalg.norm(vectors, axis=1)
            return np.asarray(is_whole & ((np.abs(norms - 1) < _UNIT_TOLERANCE) | (norms == 0)))
        return is_whole


@dataclass(frozen=True, slots=True)
class _Chunk:
    labels: NDArray[np.uint64]
    vectors: NDArray[np.float32]
    is_deleted: NDArray[np.bool_]
    is_plausible: NDArray[np.bool_]
    is_linked: NDArray[np.bool_]
    """Whether it has neighbours, and all of them are elements."""


def open_files(
    folder: Path, *, dimension: int | None, max_neighbors: int | None, is_cosine: bool, labels: int
) -> VectorFiles:
    """The vectors of a folder. `dimension` and `max_neighbors` are used if the header is lost.

    `labels`: the number of labels in the label map, 0 if it is lost.
    """
    files = VectorFiles(folder, is_cosine)
    data = folder / DATA
    if not data.is_file():
        if labels:
            files.damage.append(f"{DATA} is missing")
        return files
    size = data.stat().st_size
    layout, reason = _header(folder / HEADER, size, dimension)
    if reason is not None and (size or labels):
        layout = _find_layout(data, size, dimension, max_neighbors)
        found = "its sizes were found by trial" if layout else "no vector was found"
        files.damage.append(f"{HEADER} {reason}; {found}")
    files.layout = layout
    if layout is None:
        return files
    if layout.count is not None and files.rows < layout.count:
        files.damage.append(f"{DATA} has {files.rows} of {layout.count} elements")
    lengths = folder / LENGTHS
    used = layout.count or 0
    if is_cosine and (not lengths.is_file() or lengths.stat().st_size < 4 * used):
        files.damage.append(f"{LENGTHS} is missing or cut: the vectors beyond it have length 1")
    elif is_cosine and (damaged := _damaged_lengths(lengths, used)):
        files.damage.append(f"{LENGTHS} is damaged: {damaged} vectors have length 1")
    links = folder / LINKS
    # Four bytes for each element, and its links if it has any.
    if used and (not links.is_file() or links.stat().st_size < 4 * used):
        files.damage.append(f"{LINKS} is missing or cut: Chroma does not open the files, but the vectors are there")
    return files


def _damaged_lengths(path: Path, used: int) -> int:
    lengths = np.fromfile(path, "<f4", used)
    return int((~_are_lengths(lengths)).sum())


def _are_lengths(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(values) & (values > 0))


def header_dimension(folder: Path) -> int | None:
    """The dimension by a folder's header, None if that is lost or damaged."""
    data = folder / DATA
    layout = _header(folder / HEADER, data.stat().st_size, None)[0] if data.is_file() else None
    return None if layout is None else layout.dimension


def _header(path: Path, size: int, dimension: int | None) -> tuple[Layout | None, str | None]:
    """The layout by the header, or the reason why there is none."""
    if not path.is_file():
        return None, "is missing"
    content = path.read_bytes()[: _HEADER.size]
    if len(content) < _HEADER.size:
        return None, f"has {len(content)} of {_HEADER.size} bytes"
    version, offset, capacity, count, element, label, vector, _, _, _, links, *_ = _HEADER.unpack(content)
    layout = Layout(links, (label - vector) // 4, count, capacity)
    is_sound = (
        (version, offset) == (_VERSION, 0)
        and count <= capacity
        and 0 < layout.dimension <= _MAX_DIMENSION
        and (element, label, vector) == (layout.element_bytes, layout.label_offset, layout.vector_offset)
        and dimension in (None, layout.dimension)
    )
    if not is_sound:
        return None, "is damaged"
    if count > size // element and size // element and size == capacity * element:
        return None, "is damaged"
    return layout, None


def _find_layout(path: Path, size: int, dimension: int | None, max_neighbors: int | None) -> Layout | None:
    """The layout under which most elements of a sample have plausible labels."""
    if dimension is None:
        return None
    best, layout = 0, None
    likely = [number for number in (max_neighbors, _DEFAULT_M) if number]
    for neighbors in dict.fromkeys([*likely, *range(2, 129)]):
        candidate = Layout(2 * neighbors, dimension, None)
        rows = min(size // candidate.element_bytes, _SAMPLE_ROWS)
        if not rows:
            continue
        score = _plausible_labels(path, candidate, rows)
        if score > best:
            best, layout = score, candidate
        if best == rows:
            break
    return layout


def _plausible_labels(path: Path, layout: Layout, rows: int) -> int:
    """The number of distinct small labels among the first elements."""
    chunk = _read_chunk(path, layout, 0, rows, rows)
    return len(np.unique(chunk.labels[chunk.is_plausible]))


def _read_chunk(path: Path, layout: Layout, start: int, stop: int, total: int) -> _Chunk:
    """Elements `start` to `stop` of a file of `total` ones."""
    count = stop - start
    data = np.fromfile(path, np.uint8, count * layout.element_bytes, offset=start * layout.element_bytes)
    elements = data.reshape(count, layout.element_bytes)
    vectors = np.ascontiguousarray(elements[:, layout.vector_offset : layout.label_offset]).view("<f4")
    labels = np.ascontiguousarray(elements[:, layout.label_offset :]).view("<u8")[:, 0]
    counts = np.ascontiguousarray(elements[:, :2]).view("<u2")[:, 0]
    is_plausible = (counts <= layout.links) & (labels > 0) & (labels < 2**32)
    neighbors = np.ascontiguousarray(elements[:, 4 : layout.vector_offset]).view("<u4")
    is_used = np.arange(layout.links) < counts[:, None]
    is_linked = (counts > 0) & (labels <= 2 * total) & ((neighbors < total) | ~is_used).all(axis=1)
    # Distinct: neighbours of an element are sorted with unused places as numbers that no element has.
    ordered = np.sort(np.where(is_used, neighbors, total + np.arange(layout.links)), axis=1)
    is_linked &= (np.diff(ordered, axis=1) > 0).all(axis=1)
    return _Chunk(labels, vectors, (elements[:, 2] & 1).astype(bool), is_plausible, is_linked)


def folders(directory: Path, known: Sequence[str]) -> list[Path]:
    """The folders of a Chroma directory with HNSW files, besides those of the `known` segments."""
    found = (path.parent for name in (DATA, LABELS) for path in directory.glob(f"*/{name}"))
    return sorted({folder for folder in found if folder.name not in known and not folder.is_symlink()})
