"""Sidecars: what one may hold, and the one that an export writes."""

from pathlib import Path
from typing import Any

import pytest

from afterglow.bulk import sidecar
from afterglow.bulk.endpoint import CollectionInfo
from afterglow.bulk.types import ImportRejected
from afterglow.errors import InvalidArgument


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([], "JSON object"),
        ({"colums": {}}, "colums"),
        ({"metadata": "m"}, "metadata"),
        ({"columns": {"key": "id"}}, "key"),
        ({"columns": {"metadata": 3}}, "columns.metadata"),
        ({"types": {"a": "date"}}, "types are"),
        ({"space": "manhattan"}, "manhattan"),
        ({"delimiter": ";;"}, "delimiter"),
        ({"dimension": 0}, "dimension"),
        ({"schema": []}, "schema"),
    ],
)
def test_invalid_sidecars(content: Any, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        sidecar.from_json(content)


def test_the_space_goes_into_the_configuration() -> None:
    parsed = sidecar.from_json({"space": "ip", "configuration": {"hnsw": {"ef_search": 50}}})
    assert parsed.create_request("c")["configuration"] == {"hnsw": {"ef_search": 50, "space": "ip"}}


def test_a_sidecar_that_is_not_json_rejects_the_file() -> None:
    with pytest.raises(ImportRejected, match="a sidecar"):
        sidecar.parse(b"{", "a sidecar")


def test_the_sidecar_of_an_export_is_one_of_an_import() -> None:
    info = CollectionInfo("1", "t", "d", "c", configuration={"hnsw": {"space": "l2"}}, metadata={"a": 1}, dimension=3)
    parsed = sidecar.parse(sidecar.encode(info), "c.jsonl.import.json")
    assert parsed.columns == {"id": "id", "embedding": "embedding", "document": "document", "uri": "uri"}
    assert (parsed.metadata, parsed.dimension, parsed.collection_metadata) == ("metadata", 3, {"a": 1})
    assert parsed.configuration == {"hnsw": {"space": "l2"}}
    assert sidecar.sidecar_path(Path("/a/c.jsonl")) == Path("/a/c.jsonl.import.json")
