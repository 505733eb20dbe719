"""The schema that is stored of one that a client gives: what is filled in, what is refused.

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
    ON,
    SPARSE,
    configured,
    keys,
    made,
    vectors,
)


def test_a_schema_is_filled_in() -> None:
    stored = made(given=keys(__embedding=vectors(space="cosine", hnsw={"ef_search": 5}), k={"int": {}}, z={}))
    assert configured(stored) == {"space": "cosine", "source_key": "#document", "hnsw": HNSW | {"ef_search": 5}}
    assert stored["defaults"] == DEFAULT["defaults"]
    assert stored["keys"]["k"] == {"int": {}}
    assert stored["keys"]["z"] == {}
    assert stored["keys"]["#document"] == DEFAULT["keys"]["#document"]


def test_the_defaults_of_a_schema_do_not_reach_its_keys() -> None:
    stored = made(given={"defaults": vectors(enabled=False, space="cosine", hnsw={"ef_search": 3}), "keys": {}})
    assert stored["defaults"]["float_list"]["vector_index"]["config"]["space"] == "cosine"
    assert schema.index_parameters(stored) == schema.IndexParameters("l2", 100, 100, 16)


def test_spann_in_a_schema_becomes_hnsw() -> None:
    stored = made(given=keys(__embedding=vectors(space="ip", spann={"ef_search": 5})))
    assert configured(stored) == {"space": "ip", "source_key": "#document", "hnsw": HNSW}


def test_an_embedding_function_keeps_its_nulls() -> None:
    function = {"type": "known", "name": "mine", "config": {"key": None}}
    given = keys(
        __embedding=vectors(embedding_function=function), k=vectors(enabled=False, embedding_function=function)
    )
    stored = made(given=given)
    assert configured(stored)["embedding_function"] == function
    assert stored["keys"]["k"]["float_list"]["vector_index"]["config"]["embedding_function"] == function


def test_disabled_sparse_indexes_are_stored() -> None:
    config = {"source_key": "q", "bm25": True, "algorithm": "max_score"}
    sparse = {"sparse_vector": {"sparse_vector_index": {"enabled": False, "config": config}}}
    stored = made(given={"defaults": sparse, "keys": {"k": sparse}})
    assert stored["keys"]["k"] == sparse
    assert stored["defaults"]["sparse_vector"]["sparse_vector_index"]["config"] == {
        "embedding_function": {"type": "unknown"},
        **config,
    }


def test_a_schema_and_a_configuration_are_mutually_exclusive() -> None:
    cosine = keys(__embedding=vectors(space="cosine"))
    text = "^Failed to reconcile schema: Cannot set both collection config and schema simultaneously$"
    for configuration in ({"hnsw": {"space": "ip"}}, {"embedding_function": LEGACY}, {"hnsw": {"num_threads": 7}}):
        with pytest.raises(InvalidArgument, match=text):
            made(configuration, cosine)
    with pytest.raises(InvalidArgument, match=text):
        made(None, cosine, {"hnsw:space": "ip"})
    with pytest.raises(InvalidArgument, match=text):
        made({"hnsw": {"space": "ip"}}, keys(k={}))


def test_the_defaults_may_name_any_source() -> None:
    stored = made(given={"defaults": vectors(enabled=False, source_key="0"), "keys": {}})
    assert stored["defaults"]["float_list"]["vector_index"]["config"]["source_key"] == "0"
    assert stored["keys"]["#embedding"]["float_list"]["vector_index"]["config"]["source_key"] == "#document"


def test_defaults_are_not_mutually_exclusive() -> None:
    cosine = keys(__embedding=vectors(space="cosine"))
    ours: list[dict[str, Any]] = [{"hnsw": {"space": "l2"}, "embedding_function": KNOWN_DEFAULT}, {"spann": {}}]
    for configuration in ours:
        assert configured(made(configuration, cosine))["space"] == "cosine"
    of_client = copy.deepcopy(DEFAULT)
    for types in (of_client["defaults"], of_client["keys"]["#embedding"]):
        types["float_list"]["vector_index"]["config"]["embedding_function"] = KNOWN_DEFAULT
    assert schema.index_parameters(made({"hnsw": {"space": "ip"}}, of_client)).space == "ip"


STRING_FTS = {"string": {"fts_index": ON}}
STRING_INVERTED = {"string": {"string_inverted_index": ON}}
VALIDATION = "Validation error: schema: "


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"defaults": vectors(), "keys": {}},
            VALIDATION + "Vector index cannot be enabled by default. It can only be enabled on #embedding field.",
        ),
        (
            {"defaults": STRING_FTS, "keys": {}},
            VALIDATION + "Full text search / regular expression index cannot be enabled by default. "
            "It can only be enabled on #document field.",
        ),
        (
            {"defaults": SPARSE, "keys": {}},
            VALIDATION + "Sparse vector index cannot be enabled by default. Please enable sparse vector index on "
            "specific keys. At most one sparse vector index is allowed for the collection.",
        ),
        (
            {"defaults": vectors(enabled=False, spann={}, hnsw={}), "keys": {}},
            VALIDATION + "Both spann and hnsw config cannot be present at the same time.",
        ),
        (
            keys(__embedding=vectors(spann={}, hnsw={})),
            VALIDATION + "Both spann and hnsw config cannot be present at the same time.",
        ),
        (
            keys(__k={}),
            VALIDATION + "key cannot begin with '#'. Keys starting with '#' are reserved for system use: #k",
        ),
        (
            keys(__document={"int": {}}),
            VALIDATION + "Document field cannot have any value types other than string: #document",
        ),
        (
            keys(__document=STRING_INVERTED),
            VALIDATION + "String inverted index can not be enabled on #document key: #document",
        ),
        (
            keys(__embedding={"string": {}}),
            VALIDATION + "Embedding field cannot have any value types other than float_list: #embedding",
        ),
        (keys(k=vectors()), VALIDATION + "Vector index can only be enabled on #embedding field: k"),
        (
            keys(k=STRING_FTS),
            VALIDATION + "Full text search / regular expression index can only be enabled on #document field: k",
        ),
        (keys(__embedding=vectors(source_key="abc")), VALIDATION + "Vector index can only source from #document"),
        (
            keys(k={"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": {"source_key": "x"}}}}),
            VALIDATION + "If source_key is provided then embedding_function must also be provided "
            "since there is no default embedding function.",
        ),
        (
            keys(k={"sparse_vector": {"sparse_vector_index": {"enabled": False, "config": {"source_key": "#x"}}}}),
            VALIDATION + "source_key cannot begin with '#'. "
            "The only valid key starting with '#' is Key.DOCUMENT or '#document'.",
        ),
        (
            keys() | {"source_attached_function_id": "x"},
            VALIDATION + "Cannot set source_attached_function_id. This field is reserved for system use.",
        ),
        (keys() | {"cmek": {"gcp": "x"}}, VALIDATION + 'CMEK does not match expected pattern: Gcp("x")'),
        (
            keys(__embedding=vectors(hnsw={"batch_size": 1})),
            (
                "Failed to reconcile schema: Invalid HNSW configuration: "
                'batch_size: Validation error: range [{"value": Number(1), "min": Number(2)}]'
            ),
        ),
    ],
)
def test_schemas_that_are_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        made(given=given)
    assert raised.value.message == text


def test_a_key_that_would_encrypt_nothing_is_refused() -> None:
    cmek = {"gcp": "projects/a/locations/b/keyRings/c/cryptoKeys/d"}
    with pytest.raises(InvalidArgument, match="cannot have an encryption key of its own"):
        made(given=keys() | {"cmek": cmek})
