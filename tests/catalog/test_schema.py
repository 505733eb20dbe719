"""The schema that is stored of a configuration and of old metadata: what is filled in, what is refused.

The expectations were taken from the genuine server, case by case.
"""

import copy
from typing import Any

import pytest

from afterglow.catalog import schema
from afterglow.errors import InvalidArgument
from tests.catalog.schemas import (
    DEFAULT,
    HNSW,
    KNOWN_DEFAULT,
    LEGACY,
    configured,
    made,
)


def test_nothing_said_is_the_default_schema() -> None:
    assert made() == DEFAULT
    assert made({"hnsw": None, "spann": None, "embedding_function": None}) == DEFAULT
    assert made(given={"defaults": {}, "keys": {}}) == DEFAULT
    assert made(given=copy.deepcopy(DEFAULT)) == DEFAULT


def test_the_order_of_the_parts_is_the_wire_order() -> None:
    stored = made({"embedding_function": LEGACY})
    assert list(configured(stored)) == ["space", "embedding_function", "source_key", "hnsw"]
    assert list(configured(stored)["hnsw"]) == list(HNSW)
    assert list(schema.configuration_json(stored)["hnsw"]) == [
        "space",
        "ef_construction",
        "ef_search",
        "max_neighbors",
        "resize_factor",
        "sync_threshold",
    ]


def test_configuration_goes_to_the_key_and_the_defaults() -> None:
    stored = made({"hnsw": {"space": "cosine", "ef_search": 7, "num_threads": 3, "resize_factor": 2}})
    hnsw = HNSW | {"ef_search": 7, "num_threads": 3, "resize_factor": 2.0}
    assert configured(stored) == {"space": "cosine", "source_key": "#document", "hnsw": hnsw}
    assert stored["defaults"]["float_list"]["vector_index"] == {
        "enabled": False,
        "config": {"space": "cosine", "hnsw": hnsw},
    }
    assert isinstance(configured(stored)["hnsw"]["resize_factor"], float)


@pytest.mark.parametrize("function", [LEGACY, KNOWN_DEFAULT, {"type": "unknown"}])
def test_an_embedding_function_is_echoed(function: dict[str, Any]) -> None:
    stored = made({"hnsw": {}, "embedding_function": function})
    assert schema.configuration_json(stored)["embedding_function"] == function
    assert stored["defaults"]["float_list"]["vector_index"]["config"]["embedding_function"] == function


def test_absurd_values_are_stored() -> None:
    stored = made({"hnsw": {"ef_search": 0, "max_neighbors": 0, "batch_size": 0, "sync_threshold": 1}})
    assert schema.index_parameters(stored) == schema.IndexParameters("l2", 100, 0, 0)


def test_spann_becomes_hnsw_of_its_space() -> None:
    stored = made({"spann": {"space": "ip", "ef_search": 7}})
    assert configured(stored) == {"space": "ip", "source_key": "#document", "hnsw": HNSW}
    assert schema.configuration_json(stored)["spann"] is None


def test_two_indexes_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^Multiple vector index configurations provided$"):
        made({"hnsw": {}, "spann": {}})


@pytest.mark.parametrize(
    ("configuration", "metadata", "space"),
    [
        (None, {"hnsw:space": "cosine"}, "cosine"),
        ({"hnsw": {"space": "l2"}}, {"hnsw:space": "cosine"}, "cosine"),
        ({"hnsw": {"space": "ip"}}, {"hnsw:space": "cosine"}, "ip"),
        ({"hnsw": {"num_threads": 1}}, {"hnsw:space": "cosine"}, "l2"),
        ({"spann": {"space": "ip"}}, {"hnsw:space": "cosine"}, "ip"),
        ({"spann": {}}, {"hnsw:space": "cosine"}, "l2"),
        ({"spann": {}}, {"hnsw:bogus": 1}, "l2"),
        ({"embedding_function": LEGACY}, {"hnsw:space": "cosine"}, "cosine"),
        (None, {"hnsw": 1, "space": "cosine"}, "l2"),
    ],
)
def test_old_metadata_speaks_where_the_configuration_is_the_default(
    configuration: dict[str, Any] | None, metadata: dict[str, Any], space: str
) -> None:
    assert schema.index_parameters(made(configuration, metadata=metadata)).space == space


def test_every_old_metadata_key() -> None:
    metadata = {
        "hnsw:space": "ip",
        "hnsw:construction_ef": 8,
        "hnsw:search_ef": 11,
        "hnsw:M": 3,
        "hnsw:num_threads": 9,
        "hnsw:resize_factor": 1,
        "hnsw:batch_size": 2,
        "hnsw:sync_threshold": 7,
    }
    stored = made(metadata=metadata)
    assert schema.index_parameters(stored) == schema.IndexParameters("ip", 8, 11, 3)
    assert configured(stored)["hnsw"] == {
        "ef_construction": 8,
        "max_neighbors": 3,
        "ef_search": 11,
        "num_threads": 9,
        "batch_size": 2,
        "sync_threshold": 7,
        "resize_factor": 1.0,
    }


@pytest.mark.parametrize(
    "metadata",
    [
        {"hnsw:bogus": 1},
        {"hnsw:": 1},
        {"hnsw:space": "L2"},
        {"hnsw:space": 1},
        {"hnsw:M": 3.0},
        {"hnsw:M": -3},
        {"hnsw:M": True},
        {"hnsw:M": "1"},
        {"hnsw:batch_size": 1},
        {"hnsw:sync_threshold": 1},
        {"hnsw:resize_factor": "x"},
        {"hnsw:resize_factor": [1.0]},
    ],
)
@pytest.mark.parametrize("configuration", [None, {"hnsw": {"space": "ip"}}])
def test_wrong_old_metadata(metadata: dict[str, Any], configuration: dict[str, Any] | None) -> None:
    with pytest.raises(InvalidArgument, match=r"^Failed to parse hnsw parameters from segment metadata$"):
        made(configuration, metadata=metadata)
