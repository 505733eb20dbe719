"""Strategies for random scenarios. Steps are plain data, so that hypothesis prints and shrinks them.

Left out on purpose, because Chroma's local server is wrong or undefined there:

- fractional operands on a key that holds ints (it truncates the operand): `whole` holds ints, `either` ints and whole
  floats, and both are compared with whole numbers only; `real` holds floats only;
- new embeddings, by update, for records that are not there (it remembers them and gives them to a later add);
- queries restricted to ids that do not exist (an error without a name), and the order of equal distances;
- arrays in the metadata of a collection (it crashes), names of other tenants and databases (it ignores them).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

DIMENSION = 3
IDS = [f"id{number}" for number in range(12)]
WORDS = ["red", "Red", "blue", "100%", "under_score", "zażółć", "日本語", "line\nbreak", "a b", "🙂", "redder"]
NEEDLES = [*WORDS, "ed", "re", "b", "%", "_", "żó", "本", "d b", "nothing of the kind"]
PATTERNS = ["^red", "(?i)RED", r"\d+%", "blue|本", r"\bred\b", "r.d", "s.*e", r"^\w+$", "k$", "[a-c] b", "a{2}"]
COLOURS = ["red", "green", "Blue", "", "ż"]
SPACES = ["l2", "ip", "cosine"]

Where = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One method call on the Chroma client's collection: method and keyword arguments."""

    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """A collection in one space, and its steps."""

    space: str
    steps: tuple[Step, ...]


coordinates = st.integers(-16, 16).map(lambda number: number / 8)
embeddings = st.lists(coordinates, min_size=DIMENSION, max_size=DIMENSION)
documents = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
whole_floats = st.integers(-3, 3).map(float)
reals = st.sampled_from([-2.5, -0.5, 0.0, 0.5, 1.25, 3.0, 1e300])
values: dict[str, SearchStrategy[Any]] = {
    "colour": st.sampled_from(COLOURS),
    "whole": st.one_of(st.integers(-3, 3), st.just(2**53 + 1), st.just(-(2**63))),
    "real": reals,
    "either": st.one_of(st.integers(-3, 3), whole_floats),
    "flag": st.booleans(),
    "any": st.one_of(st.sampled_from(COLOURS), st.booleans(), st.integers(0, 2)),
    "names": st.lists(st.sampled_from(COLOURS[:3]), min_size=1, max_size=3),
    "numbers": st.lists(st.integers(0, 3), min_size=1, max_size=3),
    "switches": st.lists(st.booleans(), min_size=1, max_size=2),
}
metadatas = st.fixed_dictionaries({}, optional=values).map(lambda metadata: metadata or None)


def _removing(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.one_of(strategy, strategy, st.none())


changes = st.fixed_dictionaries({}, optional={key: _removing(strategy) for key, strategy in values.items()}).map(
    lambda change: None if all(value is None for value in change.values()) else change
)
"""Metadata of update and upsert: None removes a key; the client refuses one that only removes."""


def _comparison(
    key: str, operands: SearchStrategy[Any], *, ordered: bool, listable: bool = True
) -> SearchStrategy[Where]:
    operators = ["$eq", "$ne"] + (["$gt", "$gte", "$lt", "$lte"] if ordered else [])
    single = st.builds(lambda operator, value: {key: {operator: value}}, st.sampled_from(operators), operands)
    plain = operands.map(lambda value: {key: value})
    if not listable:
        return st.one_of(plain, single)
    several = st.builds(
        lambda operator, value: {key: {operator: value}},
        st.sampled_from(["$in", "$nin"]),
        st.lists(operands, min_size=1, max_size=3),
    )
    return st.one_of(plain, single, several)


def _membership(key: str, operands: SearchStrategy[Any]) -> SearchStrategy[Where]:
    return st.builds(
        lambda operator, value: {key: {operator: value}}, st.sampled_from(["$contains", "$not_contains"]), operands
    )


small_ints = st.integers(-4, 4)
comparisons: SearchStrategy[Where] = st.one_of(
    _comparison("colour", st.sampled_from(COLOURS), ordered=False),
    _comparison("whole", st.one_of(small_ints, st.just(2**53), st.just(2**53 + 1)), ordered=True),
    _comparison("real", reals, ordered=True),
    _comparison("either", small_ints, ordered=True),
    _comparison("either", whole_floats, ordered=True),
    _comparison("flag", st.booleans(), ordered=False),
    _comparison("any", st.one_of(st.sampled_from(COLOURS), st.booleans()), ordered=False, listable=False),
    _comparison("missing", st.sampled_from(COLOURS), ordered=False),
    _comparison("names", st.sampled_from(COLOURS), ordered=False),
    _membership("names", st.sampled_from(COLOURS)),
    _membership("numbers", st.integers(0, 4)),
    _membership("switches", st.booleans()),
)


def _combined(children: SearchStrategy[Where]) -> SearchStrategy[Where]:
    return st.builds(
        lambda operator, several: {operator: several},
        st.sampled_from(["$and", "$or"]),
        st.lists(children, min_size=2, max_size=3),
    )


wheres = st.recursive(comparisons, _combined, max_leaves=5)
document_conditions: SearchStrategy[Where] = st.one_of(
    st.builds(
        lambda operator, value: {operator: value},
        st.sampled_from(["$contains", "$not_contains"]),
        st.sampled_from(NEEDLES),
    ),
    st.builds(
        lambda operator, value: {operator: value},
        st.sampled_from(["$regex", "$not_regex"]),
        st.sampled_from(PATTERNS),
    ),
)
wheres_document = st.recursive(document_conditions, _combined, max_leaves=4)
filters = st.fixed_dictionaries({}, optional={"where": wheres, "where_document": wheres_document})
some_ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=6, unique=True)


@st.composite
def writes(draw: st.DrawFn) -> Step:
    """add, upsert or update of a few records."""
    method = draw(st.sampled_from(["add", "add", "upsert", "upsert", "update"]))
    ids = draw(some_ids)

    def list_of(strategy: SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(strategy, min_size=len(ids), max_size=len(ids)))

    arguments: dict[str, Any] = {"ids": ids}
    if method != "update" or draw(st.booleans()):
        arguments["embeddings"] = list_of(embeddings)
    if draw(st.booleans()):
        arguments["metadatas"] = list_of(metadatas if method == "add" else changes)
    if draw(st.booleans()) or (method == "update" and len(arguments) == 1):
        arguments["documents"] = list_of(documents)
    return Step(method, arguments)


@st.composite
def deletes(draw: st.DrawFn) -> Step:
    """delete by ids, by a filter, or both."""
    arguments: dict[str, Any] = dict(draw(filters))
    if not arguments or draw(st.booleans()):
        arguments["ids"] = draw(some_ids)
    if "where" in arguments and draw(st.booleans()):
        arguments["limit"] = draw(st.integers(0, 4))
    return Step("delete", arguments)


@st.composite
def gets(draw: st.DrawFn) -> Step:
    """get by ids, filters, window."""
    arguments: dict[str, Any] = {**draw(filters), "include": ["embeddings", "documents", "metadatas", "uris"]}
    if draw(st.booleans()):
        arguments["ids"] = draw(some_ids)
    if draw(st.booleans()):
        arguments["limit"] = draw(st.integers(1, 6))
        arguments["offset"] = draw(st.integers(0, 4))
    return Step("get", arguments)


@st.composite
def queries(draw: st.DrawFn) -> Step:
    """query for one to three embeddings."""
    return Step(
        "query",
        {
            **draw(filters),
            "query_embeddings": draw(st.lists(embeddings, min_size=1, max_size=3)),
            "n_results": draw(st.integers(1, 15)),
            "include": ["embeddings", "documents", "metadatas", "distances"],
        },
    )


steps = st.one_of(writes(), writes(), writes(), deletes(), gets(), queries(), queries(), st.just(Step("count")))
scenarios = st.builds(
    lambda space, first, rest: Scenario(space, (first, *rest)),
    st.sampled_from(SPACES),
    writes(),
    st.lists(steps, min_size=3, max_size=14),
)
