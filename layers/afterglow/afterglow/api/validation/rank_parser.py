"""Rank expressions as they come over the wire, to the tree that is evaluated.

Shape is judged at once (Malformed, 422). What is wrong beyond it (InvalidArgument, 400) is noted and raised by
`refuse_faults`, because the genuine server looks the collection up in between.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from afterglow.api.validation.json_body import schema_error, type_error
from afterglow.collection.read.ranked_search import DenseKnn, SparseKnn
from afterglow.collection.read.sparse_knn import SparseQuery
from afterglow.errors import InvalidArgument
from afterglow.ranking.ast import Binary, BinaryOp, Function, KnnScore, Nary, NaryOp, Rank, Unary, Value

MAX_DEPTH = 64
MAX_NODES = 4_096
MAX_KNN = 256
"""Of one call."""
EMBEDDING = "#embedding"

_OPERATORS = ("$abs", "$div", "$exp", "$knn", "$log", "$max", "$min", "$mul", "$sub", "$sum", "$val")
_FUNCTIONS = frozenset(Function)
_PAIRINGS = frozenset(BinaryOp)
_FOLDINGS = frozenset(NaryOp)
_NUMBERS = frozenset({int, float})
_LARGEST_U32 = 2**32 - 1
_LARGEST = float(np.finfo(np.float32).max)
_DEFAULT_LIMIT = 16


@dataclass(slots=True)
class RankParser:
    """The expressions of one call: how many operators and $knn they have, and what is wrong with them."""

    nodes: int = 0
    knn: int = 0
    errors: list[str] = field(default_factory=list)

    def parse(self, value: dict[str, Any], path: str) -> tuple[Rank, list[DenseKnn | SparseKnn]]:
        """One expression, and its $knn in the order of their numbers. Raises Malformed."""
        parser = _Parser(self, path)
        rank = parser.parse(value, path, 1)
        return rank, parser.nearest

    def raise_errors(self) -> None:
        """Raises InvalidArgument where something was wrong."""
        if self.errors:
            raise InvalidArgument(f"Validation error: {self.errors[0]}")


class _Parser:
    """One expression; `of` is the call's tally, `place` where the expression stands in it."""

    def __init__(self, of: RankParser, place: str) -> None:
        self.nearest: list[DenseKnn | SparseKnn] = []
        self._of = of
        self._place = place

    def parse(self, value: Any, path: str, depth: int) -> Rank:
        if type(value) is not dict:
            raise type_error(path, value, "a map")
        if len(value) != 1 or next(iter(value)) not in _OPERATORS:
            known = ", ".join(f"`{each}`" for each in _OPERATORS)
            shown = next((each for each in value if each not in _OPERATORS), None)
            what = "expected a map with a single key" if shown is None else f"unknown variant `{shown}`"
            raise schema_error(path, f"{what}, expected one of {known}")
        self._of.nodes += 1
        if depth > MAX_DEPTH or self._of.nodes > MAX_NODES:
            self._of.errors.append(
                f"{self._place}: a rank expression may nest {MAX_DEPTH} deep, and those of a call have {MAX_NODES}"
                " operators in all"
            )
            return Value(0.0)
        ((operator, operand),) = value.items()
        inner = f"{path}.{operator}"
        if operator == "$val":
            return Value(self._number(operand, inner))
        if operator == "$knn":
            return self._knn(operand, inner)
        if operator in _FUNCTIONS:
            return Unary(Function(operator), self.parse(operand, inner, depth + 1))
        if operator in _PAIRINGS:
            left, right = (_member(operand, name, inner) for name in ("left", "right"))
            return Binary(
                BinaryOp(operator),
                self.parse(left, f"{inner}.left", depth + 1),
                self.parse(right, f"{inner}.right", depth + 1),
            )
        if type(operand) is not list:
            raise type_error(inner, operand, "a sequence")
        parsed = (self.parse(each, f"{inner}[{at}]", depth + 1) for at, each in enumerate(operand))
        return Nary(NaryOp(operator), tuple(parsed))

    def _number(self, value: Any, path: str) -> float:
        if type(value) not in _NUMBERS:
            raise type_error(path, value, "f32")
        if not -_LARGEST <= value <= _LARGEST:
            self._of.errors.append(f"{self._place}: numbers must be finite float32")
            return 0.0
        return float(value)

    def _knn(self, knn: Any, path: str) -> KnnScore:
        query = _member(knn, "query", path)
        key, limit = knn.get("key", EMBEDDING), knn.get("limit", _DEFAULT_LIMIT)
        default, by_rank = knn.get("default"), knn.get("return_rank", False)
        if type(key) is not str:
            raise type_error(f"{path}.key", key, "a string")
        if type(limit) is not int or not 0 <= limit <= _LARGEST_U32:
            raise type_error(f"{path}.limit", limit, "u32")
        if type(by_rank) is not bool:
            raise type_error(f"{path}.return_rank", by_rank, "a boolean")
        score = None if default is None else self._number(default, f"{path}.default")
        self._of.knn += 1
        if self._of.knn > MAX_KNN:
            self._of.errors.append(f"{self._place}: a call may have {MAX_KNN} $knn in all")
        self.nearest.append(self._knn_query(query, key, limit, path))
        return KnnScore(len(self.nearest) - 1, score, by_rank)

    def _knn_query(self, query: Any, key: str, limit: int, path: str) -> DenseKnn | SparseKnn:
        if type(query) is list and _NUMBERS.issuperset(map(type, query)):
            if key != EMBEDDING:
                self._of.errors.append(f"{self._place}: a dense query searches {EMBEDDING}, not '{key}'")
            with np.errstate(over="ignore"):
                dense = np.array(query, dtype=np.float32)
            return DenseKnn(np.clip(dense, -_LARGEST, _LARGEST), limit)
        if type(query) is not dict or not _looks_sparse(query):
            raise schema_error(f"{path}.query", "data did not match any variant of untagged enum QueryVector")
        fault = _fault_of_sparse(query)
        if fault is not None:
            self._of.errors.append(f"{self._place}: Invalid sparse vector in KNN query: {fault}")
            query = {"indices": [], "values": []}
        elif key.startswith("#"):
            self._of.errors.append(f"{self._place}: a sparse query searches a metadata key, not '{key}'")
        indices, values = np.array(query["indices"], dtype=np.uint32), np.array(query["values"], dtype=np.float32)
        return SparseKnn(key, SparseQuery(indices, values), limit)


def _member(value: Any, name: str, path: str) -> Any:
    if type(value) is not dict:
        raise type_error(path, value, "a map")
    if name not in value:
        raise schema_error(path, f"missing field `{name}`")
    return value[name]


def _looks_sparse(value: dict[str, Any]) -> bool:
    indices, values = value.get("indices"), value.get("values")
    return (
        value.get("#type", "sparse_vector") == "sparse_vector"
        and type(indices) is list
        and all(type(each) is int and 0 <= each <= _LARGEST_U32 for each in indices)
        and type(values) is list
        and _NUMBERS.issuperset(map(type, values))
    )


def _fault_of_sparse(value: dict[str, Any]) -> str | None:
    indices: list[int] = value["indices"]
    values: Iterable[float] = value["values"]
    if len(indices) != len(value["values"]):
        return f"{len(indices)} indices, but {len(value['values'])} values"
    if any(left >= right for left, right in pairwise(indices)):
        return "indices must be strictly ascending"
    return None if all(-_LARGEST <= each <= _LARGEST for each in values) else "values must be finite float32"
