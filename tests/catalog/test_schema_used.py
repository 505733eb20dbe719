"""What becomes of a stored schema: changes, keys that writes register, and what it says of filters and searches.

The expectations were taken from the genuine server, case by case.
"""

import copy
import re

import pytest

from afterglow.catalog import schema
from afterglow.errors import InvalidArgument
from tests.catalog.schemas import (
    KNOWN_DEFAULT,
    LEGACY,
    OFF,
    ON,
    SPARSE,
    configured,
    keys,
    made,
)


def test_changes_reach_the_key_and_the_defaults_and_nothing_else() -> None:
    before = made({"embedding_function": LEGACY}, metadata={"hnsw:M": 5})
    copied = copy.deepcopy(before)
    after = schema.with_configuration(before, {"hnsw": {"ef_search": 3, "resize_factor": 2, "batch_size": None}})
    assert before == copied
    assert schema.index_parameters(after) == schema.IndexParameters("l2", 100, 3, 5)
    assert after["defaults"]["float_list"]["vector_index"]["config"]["hnsw"]["ef_search"] == 3
    assert configured(after)["hnsw"]["resize_factor"] == 2.0
    assert schema.configuration_json(after)["embedding_function"] == LEGACY


def test_a_changed_embedding_function() -> None:
    after = schema.with_configuration(made(), {"embedding_function": KNOWN_DEFAULT})
    assert schema.configuration_json(after)["embedding_function"] == KNOWN_DEFAULT
    assert schema.with_configuration(after, {"embedding_function": None}) == after
    assert schema.with_configuration(after, {"spann": {"ef_search": 3}}) == after


def test_changes_to_two_indexes_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^Multiple vector index configurations provided$"):
        schema.with_configuration(made(), {"hnsw": {}, "spann": {}})


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
    assert len(full["keys"]) == schema.MAX_METADATA_KEYS
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


def test_a_sparse_index_is_stored_as_configured() -> None:
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
