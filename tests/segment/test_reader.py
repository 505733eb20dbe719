"""The reader: files are mapped, not copied, and verified unless the caller has done that."""

import numpy as np
import pytest

from afterglow.errors import Corrupt
from afterglow.segment import id_index
from afterglow.segment.reader import Segment
from afterglow.storage.ports import Stores
from tests.segment.row_groups import PARAMETERS, every_row, lookup, memory_row_group, random_rows, write_rows


def test_arrays_outlive_their_segment(stores: Stores) -> None:
    rows = random_rows(30)
    info = write_rows(stores, every_row(memory_row_group(rows)))
    vectors = Segment(stores.objects, info, PARAMETERS).rows.vectors
    assert not vectors.flags.writeable
    assert vectors.tolist() == [list(row.vector) for row in rows]


def test_checksums_are_skipped_only_on_request(stores: Stores) -> None:
    info = write_rows(stores, every_row(memory_row_group(random_rows(30))))
    path = stores.objects.local_path(info.files["vectors"].key)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert Segment(stores.objects, info, PARAMETERS, verify=False).rows.rows == 30
    with pytest.raises(Corrupt, match=info.files["vectors"].key):
        Segment(stores.objects, info, PARAMETERS)


def test_ids_are_looked_up_in_any_order(stores: Stores) -> None:
    rows = random_rows(30)
    segment = Segment(stores.objects, write_rows(stores, every_row(memory_row_group(rows))), PARAMETERS)
    names = [rows[17].id, "missing", rows[3].id, rows[17].id]
    assert lookup(segment, names) == [17, id_index.MISSING, 3, 17]
    assert segment.graph is None
    assert segment.postings == {}
    np.testing.assert_array_equal(segment.rows.row_seqs, np.arange(30))
