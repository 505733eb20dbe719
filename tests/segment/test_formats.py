"""Rolling formats: segments that earlier releases wrote are read, and turned over by a merge; newer ones are refused.

`fixtures/lists-1` was written by the last release without the files `places` and `contents`, `fixtures/lists-2` by the
last one whose breadth was a number of lists alone; both hold the rows of `fixtures/make.py` and are not written again.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from afterglow.errors import UnsupportedFormat
from afterglow.segment import id_index, manifest, rounds
from afterglow.segment.contents import CONTENTS, PLACES
from afterglow.segment.distance import Space
from afterglow.segment.hnsw import HnswParameters
from afterglow.segment.list_index import ListIndex
from afterglow.segment.manifest import FORMAT, Manifest
from afterglow.segment.reader import Segment, read_deletions
from afterglow.segment.row_group import RowSubset
from afterglow.storage.ports import Stores
from tests.segment.fixtures.make import EXPECTED
from tests.segment.row_groups import COLLECTION, lookup, rows_of, write_clustered
from tests.support.stores import stores_at

FIXTURES = Path(__file__).parent / "fixtures"
PARAMETERS = HnswParameters(Space.L2, connectivity=8, ef_construction=64, ef_search=0)
EARLIER = ["lists-1", "lists-2"]


@pytest.fixture(params=EARLIER)
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Stores, Manifest]]:
    shutil.copytree(FIXTURES / request.param, tmp_path / "objects")
    stores = stores_at(tmp_path)
    (key,) = manifest.list_keys(stores.objects, COLLECTION)
    yield stores, manifest.load(stores.objects, key)
    stores.table.close()


def opened(stores: Stores, found: Manifest) -> Segment:
    return Segment(stores.objects, found.segments[0], PARAMETERS)


def index_of(segment: Segment) -> ListIndex:
    assert segment.lists is not None
    return segment.lists


def test_lists_of_earlier_releases_are_read(earlier: tuple[Stores, Manifest]) -> None:
    stores, found = earlier
    segment = opened(stores, found)
    names = [row.id for row in EXPECTED]
    stored = rows_of(segment.rows)
    assert sorted(stored, key=lambda row: row.id) == sorted(EXPECTED, key=lambda row: row.id)
    rows = lookup(segment, names)
    assert [stored[row].id for row in rows] == names
    assert lookup(segment, ["absent"]) == [id_index.MISSING]
    deleted = read_deletions(stores.objects, found.segments[0])
    assert deleted is not None
    assert {stored[row].id for row in np.flatnonzero(deleted).tolist()} == {EXPECTED[1].id, EXPECTED[4].id}
    index = index_of(segment)
    assert index.within(10, 1.0) == np.inf
    chosen = np.arange(len(index.centroids))
    (data,) = stores.objects.need([index.list_request(chosen)])
    query = index.centroids.projection.query(np.array(EXPECTED[3].vector, np.float32))
    candidates = index.open(data).search(query, chosen, None, 12).places.rows
    assert stored[int(candidates[0])].id == EXPECTED[3].id
    found_places = rounds.run(stores.objects, index.places(candidates))
    (records,) = stores.objects.need([index.reader.record_request(found_places)])
    assert index.reader.records(records, found_places)[0][0] == EXPECTED[3].id.encode()


def test_a_merge_turns_them_over(earlier: tuple[Stores, Manifest]) -> None:
    stores, found = earlier
    segment = opened(stores, found)
    deleted = read_deletions(stores.objects, found.segments[0])
    assert deleted is not None
    info = write_clustered(stores, RowSubset(segment.rows, np.flatnonzero(~deleted)))
    assert {CONTENTS, PLACES} <= info.files.keys()
    newer = Segment(stores.objects, info, PARAMETERS)
    assert {row.id for row in rows_of(newer.rows)} == {row.id for row in EXPECTED} - {EXPECTED[1].id, EXPECTED[4].id}
    assert index_of(newer).within(10, 1.0) < np.inf


def test_fields_that_a_newer_release_adds_are_ignored_and_its_formats_are_refused_as_newer() -> None:
    file = {"key": "k", "size": 1, "checksum": "c", "added": 1}
    segment = {"id": "s", "rows": 2, "dimension": 3, "files": {"rows": file, "added": file}, "added": {}}
    segment |= {"deleted_rows": 1, "deletions": file}
    value = {"format": FORMAT, "collection": str(COLLECTION), "records": 1, "segments": [segment], "added": []}
    read = manifest.decode(orjson.dumps(value), "key")
    assert (read.segments[0].files["rows"].key, read.segments[0].live_rows) == ("k", 1)
    with pytest.raises(UnsupportedFormat, match="newer release wrote it"):
        manifest.decode(orjson.dumps(value | {"format": FORMAT + 1}), "key")
