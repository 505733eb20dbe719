"""One search of the search API, and what it needs before it can be executed: ids, texts as vectors, a reranker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from afterglow.catalog.schema_defaults import EMBEDDING
from afterglow.collection.read.sparse_knn import SparseQuery
from afterglow.collection.types import Include
from afterglow.filters import ast
from afterglow.ranking import Rank
from afterglow.segment.distance import Vectors


@dataclass(frozen=True, slots=True)
class DenseKnn:
    """The `limit` records whose embeddings are nearest to a vector (d,)."""

    query: Vectors
    limit: int


@dataclass(frozen=True, slots=True)
class SparseKnn:
    """The `limit` records whose sparse vectors under `key` are nearest to a sparse vector."""

    key: str
    query: SparseQuery
    limit: int


@dataclass(frozen=True, slots=True)
class TextKnn:
    """A $knn whose query is a text, for the embeddings or for a sparse index; the engine replaces it by a vector."""

    key: str
    text: str
    limit: int


@dataclass(frozen=True, slots=True)
class GroupBy:
    """Group by the metadata `keys`; keep the first k records of each group by the keys of `by` (None: the score)."""

    keys: tuple[str, ...]
    by: tuple[str | None, ...]
    k: int
    largest: bool


@dataclass(frozen=True, slots=True)
class Search:
    """One search; `knn` are the $knn of `rank`, `reranks` the texts of its $rerank, by number. Groups need a rank."""

    filter: ast.Filter | None = None
    rank: Rank | None = None
    knn: tuple[DenseKnn | SparseKnn | TextKnn, ...] = ()
    reranks: tuple[str, ...] = ()
    groups: GroupBy | None = None
    offset: int = 0
    limit: int | None = None
    include: frozenset[Include] = frozenset()


def referenced_ids(searches: Sequence[Search]) -> list[str]:
    """The distinct ids that the filters name; the snapshot must be taken with them."""
    ids = (name for search in searches if search.filter is not None for name in ast.referenced_ids(search.filter))
    return list(dict.fromkeys(ids))


def has_texts(searches: Sequence[Search]) -> bool:
    """Whether a $knn of the searches has a text."""
    return any(isinstance(knn, TextKnn) for search in searches for knn in search.knn)


def reranks(searches: Sequence[Search]) -> bool:
    """Whether the searches need a reranker."""
    return any(search.reranks for search in searches)


def dense_texts(searches: Sequence[Search]) -> list[str]:
    """The distinct texts that are to be embedded."""
    knns = (knn for search in searches for knn in search.knn)
    return list(dict.fromkeys(knn.text for knn in knns if isinstance(knn, TextKnn) and knn.key == EMBEDDING))


def with_vectors(search: Search, resolve: Callable[[TextKnn], DenseKnn | SparseKnn]) -> Search:
    """The search with each of its texts replaced."""
    return replace(search, knn=tuple(resolve(knn) if isinstance(knn, TextKnn) else knn for knn in search.knn))
