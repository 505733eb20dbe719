"""The places that are read on a guess, beside the file `contents`: where they are, and what a wrong guess costs."""

import numpy as np

from afterglow.segment import likely_places, places, rounds
from afterglow.segment.array_file import layout
from afterglow.segment.contents import PLACES
from afterglow.segment.id_index import hash_ids
from afterglow.segment.list_index import ListIndex, likely_places_of_ids, read_roots
from afterglow.segment.places import BY_ID, BY_ORDER, ENTRY, PLACE
from afterglow.segment.reader import Segment
from afterglow.segment.rounds import Request
from afterglow.storage.ports import Stores
from tests.segment.row_groups import PARAMETERS, every_row, memory_row_group, random_rows, rows_of, write_clustered
from tests.support.remote import StrictObjects

ROWS = 1_500


def clustered(stores: Stores) -> Segment:
    info = write_clustered(stores, every_row(memory_row_group(random_rows(ROWS))))
    return Segment(stores.objects, info, PARAMETERS)


def index_of(segment: Segment) -> ListIndex:
    assert segment.lists is not None
    return segment.lists


def covers(request: Request, start: int, stop: int) -> bool:
    offsets = request[1].offsets
    return bool(((offsets <= start) & (stop <= offsets + request[1].lengths)).any())


def test_nearly_every_entry_is_where_its_id_is_likely_to_be(stores: Stores) -> None:
    segment = clustered(stores)
    data = memoryview(stores.objects.get(segment.info.files[PLACES].key))
    header = layout(data, PLACES, PLACES)
    stored = header.array(data, BY_ID).view(ENTRY)[:, 0]
    first = header.span(BY_ID)[0]
    names = [row.id for row in rows_of(segment.rows)]
    found = 0
    for name in names:
        (request,) = likely_places_of_ids([index_of(segment), None], [name])
        position = int(np.flatnonzero(stored["key"] == places.fingerprints([name.encode()])[0, 0])[0])
        found += covers(request, first + position * ENTRY.itemsize, first + (position + 1) * ENTRY.itemsize)
    assert found >= 0.97 * len(names)


def test_a_page_is_read_where_it_is(stores: Stores) -> None:
    segment = clustered(stores)
    file = index_of(segment).reader.places_file
    data = memoryview(stores.objects.get(file.key))
    first = layout(data, PLACES, PLACES).span(BY_ORDER)[0]
    for start, stop in ((0, 1), (700, 800), (ROWS - 1, ROWS)):
        (request,) = likely_places.of_positions(file, ROWS, start, stop)
        assert covers(request, first + start * PLACE.itemsize, first + stop * PLACE.itemsize)
        assert request[1].lengths.sum() <= 2 * 8_192 + 512 * PLACE.itemsize


def test_much_is_not_read_on_a_guess(stores: Stores) -> None:
    segment = clustered(stores)
    names = [row.id for row in rows_of(segment.rows)]
    assert likely_places_of_ids([index_of(segment)], names) == []
    assert likely_places.of_positions(index_of(segment).reader.places_file, ROWS, 0, 50_000) == []
    assert likely_places_of_ids([None], names) == []


def test_a_wrong_guess_costs_a_round_and_changes_no_answer(stores: Stores) -> None:
    segment = clustered(stores)
    names = [row.id for row in rows_of(segment.rows)]
    objects = StrictObjects(stores.objects)
    cold = Segment(objects, segment.info, PARAMETERS)
    ids = [names[ROWS - 1], "new"]
    other = likely_places.of_positions(index_of(cold).reader.places_file, ROWS, 0, 1)
    read_roots([cold.lists], search=False, rows=True, extra=lambda: other)
    assert len(objects.rounds) == 1
    assert rounds.run(objects, cold.find(ids, hash_ids(ids))).tolist() == [ROWS - 1, -1]
    assert len(objects.rounds) == 2


def test_files_of_another_shape_are_no_error(stores: Stores) -> None:
    segment = clustered(stores)
    file = index_of(segment).reader.places_file
    for rows in (ROWS // 2, 40 * ROWS):
        (request,) = likely_places.of_ids([file], [rows], ["a"])
        assert (request[1].offsets >= 0).all()
        assert (request[1].offsets + request[1].lengths <= file.size).all()
