"""Qdrant, as its answers were recorded (`record_qdrant`), over HTTP."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from afterglow.bulk.databases import qdrant
from afterglow.bulk.http_connection import HttpConnection
from afterglow.bulk.import_file import NullListener, import_file
from afterglow.bulk.sidecar import GivenOptions
from afterglow.bulk.types import ImportRejected
from afterglow.errors import NotFound
from afterglow.settings import System
from tests.bulk.databases.answers import Answers, serving
from tests.bulk.files import TARGET, TINY, import_fixture
from tests.bulk.small_files import stored

RECORDED = Path(__file__).parent / "fixtures" / "qdrant.json"
PAGE_ROWS = 4
"""That of `record_qdrant`."""


class Recorded(Answers):
    """What was recorded, by method, path and body; 404 for anything else, 401 without the key."""

    recorded: dict[str, bytes] = {}  # noqa: RUF012  of all requests

    def answer(self, body: bytes) -> tuple[int, bytes]:
        if self.headers["api-key"] != "secret":
            return 401, b"{}"
        request = [self.command, self.path, json.loads(body) if body else None]
        answer = self.recorded.get(json.dumps(request, sort_keys=True))
        return (404, b'{"status": {"error": "Not found"}}') if answer is None else (200, answer)


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpConnection]:
    monkeypatch.setattr(qdrant, "_PAGE_ROWS", PAGE_ROWS)
    lines = map(json.loads, RECORDED.read_text().splitlines())
    Recorded.recorded = {
        json.dumps(line["request"], sort_keys=True): json.dumps(line["answer"]).encode() for line in lines
    }
    with (
        serving(Recorded) as address,
        closing(HttpConnection(f"http://secret@{address}", System(), key_header=qdrant.KEY_HEADER)) as connection,
    ):
        yield connection


def test_points_become_records(connection: HttpConnection) -> None:
    assert qdrant.collections(connection) == ["books", "films"]
    with import_fixture(TINY) as at:
        source = qdrant.open_collection(connection, "books", None)
        report = import_file(at.context, source, TARGET, GivenOptions(), NullListener()).report
        assert (report.state, report.rows, report.rejected, report.size) == ("done", 8, 0, 8)
        assert report.columns["id"] == "(id)"
        assert report.left_out == {"nested": 1}
        found = stored(at)
        assert list(found) == [*map(str, range(7)), "00000000-0000-0000-0000-000000000005"]
        # Of the usual names of documents that the payloads have, one counts.
        assert {name: found[name] for name in ("0", "5")} == {
            "0": ([0, 0, 1], None, {"page_content": "first", "source": "a.txt", "page": 1}),
            "5": ([5, 2.5, 1], "second", {"year": 1999, "tags": ["x", "y"]}),
        }
        collection = at.engine.get_collection(TARGET.tenant, TARGET.database, TARGET.collection)
        assert collection.schema["keys"]["#embedding"]["float_list"]["vector_index"]["config"]["space"] == "ip"
        again = import_file(at.context, source, TARGET, GivenOptions(), NullListener())
        assert again.already_imported


def test_one_of_several_vectors(connection: HttpConnection) -> None:
    with pytest.raises(ImportRejected, match="'plot', 'poster': choose one by --embedding"):
        qdrant.open_collection(connection, "films", None)
    with import_fixture(TINY) as at:
        source = qdrant.open_collection(connection, "films", "plot")
        report = import_file(at.context, source, TARGET, GivenOptions(), NullListener()).report
        assert (report.rows, report.rejected) == (1, 1)
        ((vector, _, metadata),) = stored(at).values()
        assert vector == pytest.approx([0.6, 0.8])
        assert metadata == {"words": {"#type": "sparse_vector", "indices": [2, 7], "values": [0.25, 0.5]}}
        (error,) = at.context.store.errors(TARGET.tenant, TARGET.database, report.id)
        assert (error["line"], error["reason"]) == (2, "it has no embedding")


def test_rows_can_be_read_from_any_page_on(connection: HttpConnection) -> None:
    source = qdrant.open_collection(connection, "books", None)
    everything = [row for page in source.pages(0) for row in page]
    assert [row for page in source.pages(4) for row in page] == everything[4:]


def test_a_missing_collection(connection: HttpConnection) -> None:
    with pytest.raises(NotFound, match="answered 404"):
        qdrant.open_collection(connection, "none", None)
