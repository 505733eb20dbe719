"""Parses the JSON of rank expressions into the tree that `ranking` evaluates.

A schema mismatch is raised at once (InvalidBody, 422). Invalid values (InvalidArgument, 400) are collected and raised
by `raise_errors`, because Chroma looks up the collection in between.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from afterglow.api.validation.json_body import schema_error, type_error
from afterglow.collection.read.search_request import DenseKnn, SparseKnn, TextKnn
from afterglow.collection.read.sparse_knn import SparseQuery
from afterglow.errors import InvalidArgument
from afterglow.ranking.ast import Binary, BinaryOp, Function, KnnScore, Nary, NaryOp, Rank, Rerank, Unary, Value
from afterglow.records.embeddings import LARGEST_FLOAT32, NUMBER_TYPES, fits_float32
from afterglow.records.sparse import SparseProblem, has_sparse_schema, sparse_problem

MAX_DEPTH = 64
MAX_NODES = 4_096
MAX_KNN = 256
"""The number of $knn in one request."""
MAX_RERANKED = 256
"""The documents that one request may rerank, by the limits of its $rerank."""
EMBEDDING = "#embedding"

Knn = DenseKnn | SparseKnn | TextKnn

_OPERATORS = ("$abs", "$div", "$exp", "$knn", "$log", "$max", "$min", "$mul", "$rerank", "$sub", "$sum", "$val")
_FUNCTIONS = frozenset(Function)
_BINARY_OPERATORS = frozenset(BinaryOp)
_LARGEST_U32 = 2**32 - 1
_DEFAULT_LIMIT = 16
_DEFAULT_RERANKED = 32


@dataclass(slots=True)
class RankParser:
    """The parser of one request's expressions: counts their operators, $knn and $rerank, and collects their errors."""

    nodes: int = 0
    knn: int = 0
    reranked: int = 0
    errors: list[str] = field(default_factory=list)

    def parse(self, value: dict[str, Any], path: str) -> tuple[Rank, list[Knn], list[str]]:
        """Parse one expression; returns it with its $knn and its $rerank's texts, by number. Raises InvalidBody."""
        parser = _ExpressionParser(self, path)
        rank = parser.parse(value, path, 1)
        return rank, parser.knn, parser.reranks

    def raise_errors(self) -> None:
        """Raise the first collected error, if any, as InvalidArgument."""
        if self.errors:
            raise InvalidArgument(f"Validation error: {self.errors[0]}")


class _ExpressionParser:
    """Parses one expression; `totals` counts over the whole request, `root` is the expression's path in the body."""

    def __init__(self, totals: RankParser, root: str) -> None:
        self.knn: list[Knn] = []
        self.reranks: list[str] = []
        self._totals = totals
        self._root = root

    def parse(self, value: Any, path: str, depth: int) -> Rank:
        if type(value) is not dict:
            raise type_error(path, value, "a map")
        if len(value) != 1 or next(iter(value)) not in _OPERATORS:
            operators = ", ".join(f"`{operator}`" for operator in _OPERATORS)
            unknown = next((key for key in value if key not in _OPERATORS), None)
            problem = "expected a map with a single key" if unknown is None else f"unknown variant `{unknown}`"
            raise schema_error(path, f"{problem}, expected one of {operators}")
        self._totals.nodes += 1
        if depth > MAX_DEPTH or self._totals.nodes > MAX_NODES:
            self._add_error(
                f"a rank expression may be nested {MAX_DEPTH} deep, and a request may have {MAX_NODES} operators in all"
            )
            return Value(0.0)
        ((operator, operand),) = value.items()
        operand_path = f"{path}.{operator}"
        if operator == "$val":
            return Value(self._number(operand, operand_path))
        if operator == "$knn":
            return self._knn(operand, operand_path)
        if operator == "$rerank":
            return self._rerank(operand, operand_path, depth)
        if operator in _FUNCTIONS:
            return Unary(Function(operator), self.parse(operand, operand_path, depth + 1))
        if operator in _BINARY_OPERATORS:
            left, right = (_field(operand, name, operand_path) for name in ("left", "right"))
            return Binary(
                BinaryOp(operator),
                self.parse(left, f"{operand_path}.left", depth + 1),
                self.parse(right, f"{operand_path}.right", depth + 1),
            )
        if type(operand) is not list:
            raise type_error(operand_path, operand, "a sequence")
        operands = (self.parse(item, f"{operand_path}[{index}]", depth + 1) for index, item in enumerate(operand))
        return Nary(NaryOp(operator), tuple(operands))

    def _add_error(self, problem: str) -> None:
        # Only the first is reported, and a request may have millions.
        if not self._totals.errors:
            self._totals.errors.append(f"{self._root}: {problem}")

    def _number(self, value: Any, path: str) -> float:
        if type(value) not in NUMBER_TYPES:
            raise type_error(path, value, "f32")
        if not fits_float32(value):
            self._add_error("numbers must be finite float32")
            return 0.0
        return float(value)

    def _knn(self, knn: Any, path: str) -> KnnScore:
        query = _field(knn, "query", path)
        key = knn.get("key", EMBEDDING)
        if type(key) is not str:
            raise type_error(f"{path}.key", key, "a string")
        limit, score, return_rank = self._hits(knn, path, _DEFAULT_LIMIT)
        self._totals.knn += 1
        if self._totals.knn > MAX_KNN:
            self._add_error(f"a request may have {MAX_KNN} $knn in all")
        self.knn.append(self._knn_query(query, key, limit, path))
        return KnnScore(len(self.knn) - 1, score, return_rank)

    def _rerank(self, rerank: Any, path: str, depth: int) -> Rerank:
        query, operand = _field(rerank, "query", path), _field(rerank, "rank", path)
        if type(query) is not str:
            raise type_error(f"{path}.query", query, "a string")
        limit, score, return_rank = self._hits(rerank, path, _DEFAULT_RERANKED)
        self._totals.reranked += limit
        if self._totals.reranked > MAX_RERANKED:
            self._add_error(f"a request may rerank {MAX_RERANKED} documents, by the limits of all its $rerank")
        number = len(self.reranks)
        self.reranks.append(query)
        return Rerank(number, self.parse(operand, f"{path}.rank", depth + 1), limit, score, return_rank)

    def _hits(self, hits: dict[str, Any], path: str, default_limit: int) -> tuple[int, float | None, bool]:
        """How many records get a score, the score of all others, and whether it is the rank instead."""
        limit, default, return_rank = (
            hits.get("limit", default_limit),
            hits.get("default"),
            hits.get("return_rank", False),
        )
        if type(limit) is not int or not 0 <= limit <= _LARGEST_U32:
            raise type_error(f"{path}.limit", limit, "u32")
        if type(return_rank) is not bool:
            raise type_error(f"{path}.return_rank", return_rank, "a boolean")
        return limit, None if default is None else self._number(default, f"{path}.default"), return_rank

    def _knn_query(self, query: Any, key: str, limit: int, path: str) -> Knn:
        if type(query) is str:
            if key != EMBEDDING and key.startswith("#"):
                self._add_error(f"a text searches {EMBEDDING} or a metadata key with a sparse index, not '{key}'")
            return TextKnn(key, query, limit)
        if type(query) is list and NUMBER_TYPES.issuperset(map(type, query)):
            if key != EMBEDDING:
                self._add_error(f"a dense query searches {EMBEDDING}, not '{key}'")
            with np.errstate(over="ignore"):
                dense = np.array(query, dtype=np.float32)
            return DenseKnn(np.clip(dense, -LARGEST_FLOAT32, LARGEST_FLOAT32), limit)
        if type(query) is not dict or not has_sparse_schema(query):
            raise schema_error(f"{path}.query", "data did not match any variant of untagged enum QueryVector")
        problem = _sparse_error(query)
        if problem is not None:
            self._add_error(f"Invalid sparse vector in KNN query: {problem}")
            query = {"indices": [], "values": []}
        elif key.startswith("#"):
            self._add_error(f"a sparse query searches a metadata key, not '{key}'")
        indices, values = np.array(query["indices"], dtype=np.uint32), np.array(query["values"], dtype=np.float32)
        return SparseKnn(key, SparseQuery(indices, values), limit)


def _field(value: Any, name: str, path: str) -> Any:
    if type(value) is not dict:
        raise type_error(path, value, "a map")
    if name not in value:
        raise schema_error(path, f"missing field `{name}`")
    return value[name]


def _sparse_error(query: dict[str, Any]) -> str | None:
    """What is wrong with a sparse query of the right schema, None if it is valid."""
    problem = sparse_problem(query)
    if problem is None:
        return None
    if problem is SparseProblem.VALUE_COUNT:
        return f"{len(query['indices'])} indices, but {len(query['values'])} values"
    if problem is SparseProblem.TOKEN_COUNT:
        return f"{len(query['indices'])} indices, but {len(query['tokens'])} tokens"
    if problem is SparseProblem.ORDER:
        return "indices must be strictly ascending"
    return "values must be finite float32"
