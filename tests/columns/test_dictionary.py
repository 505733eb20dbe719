"""Dictionaries: codes and strings, and the merge of several into one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterglow.columns.dictionary import DictionaryBuilder, SortedDictionary, from_sorted, merge_dictionaries

string_sets = st.sets(st.text(max_size=4), max_size=8)


def sorted_dictionary(strings: set[str]) -> SortedDictionary:
    return from_sorted(sorted(text.encode() for text in strings))


@given(string_sets, st.text(max_size=4))
def test_a_sorted_dictionary_has_exactly_its_strings(strings: set[str], other: str) -> None:
    dictionary = sorted_dictionary(strings)
    assert [dictionary.value(code) for code in range(len(dictionary))] == sorted(strings)
    assert dictionary.code(other) == (sorted(strings).index(other) if other in strings else None)


@given(string_sets, st.data())
def test_a_subset_is_renumbered(strings: set[str], data: st.DataObject) -> None:
    codes = sorted(data.draw(st.sets(st.integers(0, len(strings) - 1)))) if strings else []
    subset = sorted_dictionary(strings).subset(np.array(codes, dtype=np.int64))
    assert [subset.value(code) for code in range(len(subset))] == [sorted(strings)[code] for code in codes]


@given(st.lists(st.lists(st.text(max_size=3), max_size=6), min_size=1, max_size=3), st.booleans())
def test_merged_codes_stand_for_the_same_strings(sources: list[list[str]], is_sorted: bool) -> None:
    pairs: list[tuple[DictionaryBuilder | SortedDictionary, np.ndarray[tuple[int], np.dtype[np.uint32]]]] = []
    for strings in sources:
        builder = DictionaryBuilder()
        builder.add("unused")
        dictionary = sorted_dictionary({*strings, "unused"}) if is_sorted else builder
        codes = [builder.add(text) if dictionary is builder else dictionary.code(text) for text in strings]
        pairs.append((dictionary, np.array(codes, dtype=np.uint32)))
    merged, renumbered = merge_dictionaries(pairs)
    assert [[merged.value(code) for code in codes.tolist()] for codes in renumbered] == sources
    assert len(merged) == len({text for strings in sources for text in strings})


def test_a_sorted_dictionary_in_full_use_is_shared() -> None:
    dictionary = sorted_dictionary({"a", "b"})
    merged, _ = merge_dictionaries([(dictionary, np.array([1, 0, 1], dtype=np.uint32))])
    assert merged is dictionary
