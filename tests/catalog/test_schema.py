"""The stored schema: what is filled in, what is refused, what it says of the index and of filters.

The expectations were taken from the genuine server, case by case.
"""

import copy
import re
from typing import Any

import pytest

from afterglow.catalog import schema
from afterglow.errors import InvalidArgument

THREADS = 2
HNSW = {
    "ef_construction": 100,
    "max_neighbors": 16,
    "ef_search": 100,
    "num_threads": 2,
    "batch_size": 100,
    "sync_threshold": 1000,
    "resize_factor": 1.2,
}
ON: dict[str, Any] = {"enabled": True, "config": {}}
OFF: dict[str, Any] = {"enabled": False, "config": {}}
DEFAULT: dict[str, Any] = {
    "defaults": {
        "string": {"fts_index": OFF, "string_inverted_index": ON},
        "float_list": {"vector_index": {"enabled": False, "config": {"space": "l2", "hnsw": HNSW}}},
        "sparse_vector": {
            "sparse_vector_index": {
                "enabled": False,
                "config": {"embedding_function": {"type": "unknown"}, "bm25": False},
            }
        },
        "int": {"int_inverted_index": ON},
        "float": {"float_inverted_index": ON},
        "bool": {"bool_inverted_index": ON},
    },
    "keys": {
        "#document": {"string": {"fts_index": ON, "string_inverted_index": OFF}},
        "#embedding": {
            "float_list": {
                "vector_index": {
                    "enabled": True,
                    "config": {"space": "l2", "source_key": "#document", "hnsw": HNSW},
                }
            }
        },
    },
}
LEGACY = {"type": "legacy"}
KNOWN_DEFAULT = {"type": "known", "name": "default", "config": {}}


def made(
    configuration: dict[str, Any] | None = None,
    given: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    before = copy.deepcopy((configuration, given, metadata))
    stored = schema.reconcile(configuration, given, metadata, THREADS)
    assert (configuration, given, metadata) == before
    return stored


def vectors(*, enabled: bool = True, **config: Any) -> dict[str, Any]:
    return {"float_list": {"vector_index": {"enabled": enabled, "config": config}}}


def keys(**given: Any) -> dict[str, Any]:
    return {"defaults": {}, "keys": {name.replace("__", "#"): types for name, types in given.items()}}


def configured(stored: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = stored["keys"]["#embedding"]["float_list"]["vector_index"]["config"]
    return config


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


def test_absurd_values_are_kept() -> None:
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


def test_sparse_parts_are_kept_while_they_are_off() -> None:
    config = {"source_key": "q", "bm25": True, "algorithm": "max_score"}
    sparse = {"sparse_vector": {"sparse_vector_index": {"enabled": False, "config": config}}}
    stored = made(given={"defaults": sparse, "keys": {"k": sparse}})
    assert stored["keys"]["k"] == sparse
    assert stored["defaults"]["sparse_vector"]["sparse_vector_index"]["config"] == {
        "embedding_function": {"type": "unknown"},
        **config,
    }


def test_a_sparse_index_is_kept_as_it_is_configured() -> None:
    config = {"embedding_function": KNOWN_DEFAULT, "source_key": "#document", "bm25": True, "algorithm": "wand"}
    given = {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": config}}}
    stored = made(given=keys(k=given, j={"sparse_vector": {"sparse_vector_index": OFF}}))
    assert stored["keys"]["k"] == given
    assert schema.sparse_index(stored, "k") == schema.SparseIndex(bm25=True)
    assert schema.register(stored, {"k": {"sparse"}}) is None


def test_without_a_sparse_index_there_is_nothing_to_search() -> None:
    stored = made(given=keys(k=SPARSE, j={"sparse_vector": {"sparse_vector_index": OFF}}))
    assert schema.sparse_index(stored, "k") == schema.SparseIndex(bm25=False)
    registered = schema.register(stored, {"new": {"sparse", "int"}, "j": {"sparse", "str"}})
    assert registered is not None
    assert set(registered["keys"]["new"]) == {"int", "sparse_vector"}
    assert set(registered["keys"]["j"]) == {"string", "sparse_vector"}
    for key in ("j", "new", "unknown", "#document"):
        text = f"Cannot filter using metadata key '{key}' with type 'SparseVector' because indexing is disabled"
        with pytest.raises(InvalidArgument, match=re.escape(text)):
            schema.sparse_index(registered, key)


def test_a_schema_and_a_configuration_exclude_each_other() -> None:
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


def test_defaults_do_not_exclude_each_other() -> None:
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
SPARSE = {"sparse_vector": {"sparse_vector_index": ON}}
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
            keys(k=SPARSE, j=SPARSE),
            VALIDATION + 'At most one sparse vector index is allowed for the collection: ["k","j"]',
        ),
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


def test_a_customer_key_is_echoed() -> None:
    cmek = {"gcp": "projects/a/locations/b/keyRings/c/cryptoKeys/d"}
    assert made(given=keys() | {"cmek": cmek})["cmek"] == cmek


def test_changes_reach_the_key_and_the_defaults_and_nothing_else() -> None:
    before = made({"embedding_function": LEGACY}, metadata={"hnsw:M": 5})
    copied = copy.deepcopy(before)
    after = schema.updated(before, {"hnsw": {"ef_search": 3, "resize_factor": 2, "batch_size": None}})
    assert before == copied
    assert schema.index_parameters(after) == schema.IndexParameters("l2", 100, 3, 5)
    assert after["defaults"]["float_list"]["vector_index"]["config"]["hnsw"]["ef_search"] == 3
    assert configured(after)["hnsw"]["resize_factor"] == 2.0
    assert schema.configuration_json(after)["embedding_function"] == LEGACY


def test_a_changed_embedding_function() -> None:
    after = schema.updated(made(), {"embedding_function": KNOWN_DEFAULT})
    assert schema.configuration_json(after)["embedding_function"] == KNOWN_DEFAULT
    assert schema.updated(after, {"embedding_function": None}) == after
    assert schema.updated(after, {"spann": {"ef_search": 3}}) == after


def test_changes_to_two_indexes_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^Multiple vector index configurations provided$"):
        schema.updated(made(), {"hnsw": {}, "spann": {}})


def test_writes_register_keys_with_the_defaults_of_their_kinds() -> None:
    before = made(given={"defaults": {"int": {"int_inverted_index": OFF}}, "keys": {"z": {}, "a": {"int": {}}}})
    after = schema.register(before, {"n": {"int", "float_list"}, "s": {"str_list"}, "z": {"bool"}, "a": {"int"}})
    assert after is not None
    assert after["keys"]["n"] == {"int": {"int_inverted_index": OFF}, "float": {"float_inverted_index": ON}}
    assert after["keys"]["s"] == {"string": {"fts_index": OFF, "string_inverted_index": ON}}
    assert after["keys"]["z"] == {"bool": {"bool_inverted_index": ON}}
    assert after["keys"]["a"] == {"int": {}}
    assert "n" not in before["keys"]
    assert schema.register(after, {"n": {"int"}, "s": {"str"}}) is None


def test_at_most_a_thousand_keys_are_registered() -> None:
    full = schema.register(made(), {f"k{n}": {"int"} for n in range(2_000)})
    assert full is not None
    assert len(full["keys"]) == schema.MOST_KEYS
    assert schema.register(full, {"one more": {"int"}}) is None
    wider = schema.register(full, {"one more": {"int"}, "k1": {"float"}})
    assert wider is not None
    assert set(wider["keys"]["k1"]) == {"int", "float"}


def test_filters_need_their_index() -> None:
    stored = made(
        given={
            "defaults": {"int": {"int_inverted_index": OFF}},
            "keys": {"y": {"int": {"int_inverted_index": ON}, "string": {"string_inverted_index": OFF}}},
        }
    )
    schema.check_indexed(stored, [("y", "int"), ("y", "float"), ("q", "str"), ("y", "int_list")], uses_fulltext=True)
    for operand, shown in ((("q", "int"), "Int"), (("q", "int_list"), "Int"), (("y", "str"), "Str")):
        with pytest.raises(InvalidArgument) as raised:
            schema.check_indexed(stored, [("y", "int"), operand], uses_fulltext=False)
        assert raised.value.message == (
            f"Cannot filter using metadata key '{operand[0]}' with type '{shown}' because indexing is disabled"
        )
    with pytest.raises(InvalidArgument, match="'#document' with type 'Str'"):
        schema.check_indexed(made(), [("#document", "str")], uses_fulltext=False)


def test_document_filters_need_theirs() -> None:
    stored = made(given=keys(__document={"string": {"fts_index": OFF}}))
    schema.check_indexed(stored, [], uses_fulltext=False)
    with pytest.raises(
        InvalidArgument, match=r"^Cannot filter using full-text search because FTS indexing is disabled$"
    ):
        schema.check_indexed(stored, [], uses_fulltext=True)
