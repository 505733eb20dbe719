"""The root file `contents` of a clustered segment: what a reader needs to read its other files by ranges.

    rows, places, postings, binary_codes, covering, narrow u8
                                the xxh3-64 of each block of these files (`segment.block_file`)
    id_samples u8               the sort key of every 256th entry of `places` by id
    order_samples i8            the insertion sequence number of every 256th place in insertion order
    meta                        the layout and the block size of each file, the size of all records

A segment without it is of an earlier release: its file `rows` is read whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns import serde
from afterglow.columns.serde import StoredColumn
from afterglow.errors import Corrupt, UnsupportedFormat
from afterglow.segment import array_file, block_file, places
from afterglow.segment.array_file import RESTORE_HINT, Layout
from afterglow.segment.binary_codes import BINARY_CODES
from afterglow.segment.block_file import BlockFile
from afterglow.segment.covering_index import COVERING, CoveringIndex
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.narrow_columns import NARROW, NarrowColumns
from afterglow.storage.file_map import map_file
from afterglow.storage.ports import Bytes, Objects

CONTENTS, PLACES = "contents", "places"
VERSION = 1

BLOCK_BYTES = {
    "rows": 16_384,
    PLACES: 8_192,
    "postings": 65_536,
    BINARY_CODES: 16_384,
    COVERING: 16_384,
    NARROW: 16_384,
}
"""Small blocks make small reads, large ones a small root file."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The open file: the files of blocks by role, where the metadata columns are, the samples, the bytes of records.

    `covering` and `narrow`: the covering index and the narrow columns, None without them.
    """

    files: Mapping[str, BlockFile]
    columns: Mapping[str, tuple[StoredColumn, ...]]
    id_samples: NDArray[np.uint64]
    order_samples: NDArray[np.int64]
    record_bytes: int
    covering: CoveringIndex | None
    narrow: NarrowColumns | None


@dataclass(frozen=True, slots=True)
class Samples:
    """Every 256th sort key of the file `places`: of the entries by id, and insertion sequence numbers."""

    ids: NDArray[np.uint64]
    order: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Blocks:
    """What `contents` says of one file of blocks: its layout and block size as JSON values, the checksums of blocks."""

    meta: dict[str, Any]
    checksums: NDArray[np.uint64]

    @staticmethod
    def of(path: Path, role: str) -> "Blocks":
        """Those of a file that was just written."""
        with path.open("rb") as file:
            view = map_file(file.fileno(), path.stat().st_size).data
        block_bytes = BLOCK_BYTES[role]
        meta = {**array_file.layout(view, role, path.name).to_json(), "block_bytes": block_bytes}
        return Blocks(meta, block_file.checksums(path, block_bytes))


def write(path: Path, blocks: Mapping[str, Blocks], samples: Samples, record_bytes: int) -> str:
    """Write the file, and return its checksum. `blocks` are those of the other files by role."""
    files = {role: described.meta for role, described in blocks.items()}
    arrays: dict[str, NDArray[Any]] = {role: described.checksums for role, described in blocks.items()}
    arrays |= {"id_samples": samples.ids, "order_samples": samples.order}
    meta = {"version": VERSION, "files": files, "record_bytes": record_bytes}
    return array_file.write(path, CONTENTS, meta, arrays)


def parse(objects: Objects, info: SegmentInfo, data: Bytes) -> Contents:
    """The content of the file's verified bytes. Raises Corrupt, UnsupportedFormat, ObjectNotFound of a local store."""
    name = info.files[CONTENTS].key
    meta, arrays = array_file.parse(data.data, CONTENTS, name)
    if meta.get("version") != VERSION:
        raise UnsupportedFormat(name, meta.get("version"), VERSION)
    try:
        files = {
            role: BlockFile(objects, info.files[role], Layout.from_json(value), int(value["block_bytes"]), arrays[role])
            for role, value in meta["files"].items()
        }
        rows = files["rows"]
        sizes = [rows.count(f"column{number}") for number in range(len(serde.DTYPES))]
        columns = serde.locate(rows.layout.meta["columns"], sizes)
        covering = CoveringIndex.of(files[COVERING]) if COVERING in files else None
        narrow = NarrowColumns.of(files[NARROW]) if NARROW in files else None
        id_samples, order_samples = arrays["id_samples"], arrays["order_samples"]
        found = Contents(files, columns, id_samples, order_samples, int(meta["record_bytes"]), covering, narrow)
        counts = {files[PLACES].count(array) for array in (places.BY_ID, places.BY_ORDER)}
        has_postings = {"postings"} & files.keys() == {"postings"} & info.files.keys()
        samples = {len(id_samples), len(order_samples)}
        if counts != {info.rows} or samples != {-(-info.rows // places.SAMPLE_STEP)} or not has_postings:
            raise ValueError("it has other numbers than its segment")
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{name} cannot be read: {error}; {RESTORE_HINT}") from error
    return found
