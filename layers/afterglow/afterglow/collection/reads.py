"""Operations that read records, now or at a point in time."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog.schema_defaults import EMBEDDING
from afterglow.collection.changes.position import ChangePosition
from afterglow.collection.changes.reader import ChangedIds, ChangePage
from afterglow.collection.engine_parts import EngineParts
from afterglow.collection.read import read_path
from afterglow.collection.read.explanation import Explanation
from afterglow.collection.read.read_path import Hits
from afterglow.collection.read.rows import RecordPlan
from afterglow.collection.replica.snapshot import Snapshot, WarmRows
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import (
    CountResult,
    Include,
    IndexingStatus,
    QueryResult,
    ReadLevel,
    Records,
    Scope,
    Selection,
)
from afterglow.embedding import completion

if TYPE_CHECKING:
    from afterglow.collection.read.ranked_search import RankedHits, SearchResult
    from afterglow.collection.read.search_request import DenseKnn, Search, SparseKnn, TextKnn
    from afterglow.collection.read.values import DistinctValues, ValueRange


class Reads(EngineParts):
    """The operations that read. What only searches and counts of values need is imported by the first of them."""

    def get(
        self,
        scope: Scope,
        selection: Selection,
        limit: int | None,
        offset: int,
        include: frozenset[Include],
        *,
        at: PointInTime | None = None,
    ) -> Records:
        """The selected records in insertion order, now or at a point in time.

        Raises LimitExceeded, ResponseTooLarge.
        """
        snapshot = self._reader.snapshot(scope, selection.ids, at)
        return read_path.get(snapshot, selection, limit, offset, include, limits=self._limits)

    def find_records(
        self,
        scope: Scope,
        selection: Selection,
        limit: int | None,
        offset: int,
        include: frozenset[Include],
        *,
        at: PointInTime | None = None,
        explanation: Explanation | None = None,
    ) -> RecordPlan:
        """The first half of `get`: the records are located and their size is known, but they are not read.

        Fills the `explanation`.

        Raises LimitExceeded, ResponseTooLarge.
        """
        snapshot = self._reader.snapshot(scope, selection.ids, at)
        return read_path.locate(
            snapshot, selection, limit, offset, include, limits=self._limits, explanation=explanation
        )

    def can_get_inline(
        self, scope: Scope, selection: Selection, limit: int | None, at: PointInTime | None = None
    ) -> bool:
        """Whether such records are certainly located in about a millisecond: too short to be worth another thread."""
        if self._stores.objects.evicts:
            return False  # their data may be in a remote store
        rows = self._warm_rows(scope, at)
        return rows is not None and read_path.is_cheap_get(rows, limit, selection)

    def query(
        self,
        scope: Scope,
        queries: NDArray[np.float32] | Sequence[str],
        n_results: int,
        selection: Selection,
        include: frozenset[Include],
        *,
        at: PointInTime | None = None,
    ) -> list[QueryResult]:
        """The nearest selected records for each query, a vector or a text; nearest first, now or at a point in time.

        Raises LimitExceeded, ResponseTooLarge.
        """
        return self.find(scope, queries, n_results, selection, include, at=at).read()

    def find(
        self,
        scope: Scope,
        queries: NDArray[np.float32] | Sequence[str],
        n_results: int,
        selection: Selection,
        include: frozenset[Include],
        *,
        at: PointInTime | None = None,
        explanation: Explanation | None = None,
    ) -> Hits:
        """The first half of `query`: the records are located and their size is known, but they are not read.

        Fills the `explanation`.

        Raises LimitExceeded, ResponseTooLarge.
        """
        if not isinstance(queries, np.ndarray):
            queries = self.embed_queries(scope, queries)
        if at is None:
            self._reader.note_search(scope.collection)
        return read_path.find(
            self._reader.snapshot(scope, selection.ids, at),
            queries,
            n_results,
            selection,
            include,
            limits=self._limits,
            exact_search_max_rows=self._stores.settings.exact_search_max_rows,
            explanation=explanation,
            recall=self._recall,
        )

    def can_query_inline(
        self, scope: Scope, queries: int, n_results: int, selection: Selection, at: PointInTime | None = None
    ) -> bool:
        """Whether such a query certainly takes about a millisecond: too short to be worth another thread."""
        rows = self._warm_rows(scope, at)
        return rows is not None and read_path.is_cheap(rows, queries, n_results, selection)

    def search(
        self, scope: Scope, searches: "Sequence[Search]", read_level: ReadLevel, at: PointInTime | None = None
    ) -> "list[SearchResult]":
        """The result of each search, all in one snapshot; with `index_only`, in the checkpoint alone.

        Raises LimitExceeded, ResponseTooLarge.
        """
        return [hits.read() for hits in self.find_ranked(scope, searches, read_level, at)]

    def find_ranked(
        self,
        scope: Scope,
        searches: "Sequence[Search]",
        read_level: ReadLevel,
        at: PointInTime | None = None,
        explanation: Explanation | None = None,
    ) -> "list[RankedHits]":
        """The first half of `search`, like `find`. Raises Busy and Unavailable, too, for texts and reranking."""
        searches = self._prepare_searches(scope, searches)
        indexed = read_level is ReadLevel.INDEX_ONLY
        if at is None:
            self._reader.note_search(scope.collection)
        _, hits = self._find_ranked(
            searches, lambda ids: self._reader.snapshot(scope, ids, at, indexed=indexed), explanation=explanation
        )
        return hits

    def _find_ranked(
        self,
        searches: "Sequence[Search]",
        take_snapshot: Callable[[Sequence[str] | None], Snapshot],
        *,
        explanation: Explanation | None = None,
        exact: bool = False,
    ) -> "tuple[Snapshot, list[RankedHits]]":
        """The hits of prepared searches, in the snapshot that is taken with the ids that they name."""
        from afterglow.collection.read import ranked_search, search_request

        ids = search_request.referenced_ids(searches)
        snapshot = take_snapshot(ids or None)
        hits = ranked_search.execute(
            snapshot,
            searches,
            ids,
            self._limits,
            exact_search_max_rows=self._stores.settings.exact_search_max_rows,
            score=self._embedding.reranker.score,
            explanation=explanation,
            exact=exact,
        )
        return snapshot, hits

    def can_search_inline(self, scope: Scope, searches: "Sequence[Search]", at: PointInTime | None = None) -> bool:
        """Whether such searches certainly take about a millisecond."""
        from afterglow.collection.read import ranked_search

        rows = self._warm_rows(scope, at)
        return rows is not None and ranked_search.is_cheap(rows, searches)

    def count(
        self, scope: Scope, read_level: ReadLevel = ReadLevel.INDEX_AND_WAL, at: PointInTime | None = None
    ) -> CountResult:
        """The number of records; with `index_only`, in the checkpoint alone."""
        snapshot = self._reader.snapshot(scope, at=at, indexed=read_level is ReadLevel.INDEX_ONLY)
        return CountResult(read_path.count(snapshot), snapshot.applied_seq)

    def count_selected(self, scope: Scope, selection: Selection, at: PointInTime | None = None) -> CountResult:
        """The number of selected records. Raises LimitExceeded."""
        from afterglow.collection.read import values

        snapshot = self._reader.snapshot(scope, selection.ids, at)
        return CountResult(values.count(snapshot, selection, self._limits), snapshot.applied_seq)

    def distinct(
        self, scope: Scope, selection: Selection, key: str, limit: int, at: PointInTime | None = None
    ) -> "DistinctValues":
        """The most frequent values of a metadata key in the selected records, at most `limit`.

        Raises LimitExceeded, ResponseTooLarge.
        """
        from afterglow.collection.read import values

        return values.distinct(self._reader.snapshot(scope, selection.ids, at), selection, key, limit, self._limits)

    def value_range(self, scope: Scope, selection: Selection, key: str, at: PointInTime | None = None) -> "ValueRange":
        """The least and the greatest value of a metadata key in the selected records. Raises LimitExceeded."""
        from afterglow.collection.read import values

        return values.value_range(self._reader.snapshot(scope, selection.ids, at), selection, key, self._limits)

    def changes(self, scope: Scope, after: ChangePosition, limit: int, max_bytes: int) -> ChangePage:
        """The writes after a position in the order of the log: at most `limit` lines and about `max_bytes`.

        Raises NotFound, PositionExpired, InvalidArgument for a position behind the end of the log.
        """
        self.get_collection_by_id(scope)
        return self._changes.read(scope.collection, after, limit, max_bytes)

    def changed_ids(self, scope: Scope, after: int, limit: int) -> ChangedIds:
        """The ids of the records written or deleted after a log entry: about `limit`, none at the end of the log.

        Raises NotFound, PositionExpired.
        """
        self.get_collection_by_id(scope)
        return self._changes.ids_after(scope.collection, after, limit)

    def indexing_status(self, scope: Scope) -> IndexingStatus:
        """Logged operations, and how many of them are indexed: flushed, and in an HNSW index if they need one."""
        from afterglow.collection.replica import indexing_progress

        return indexing_progress.indexing_status(self._stores, self.get_collection_by_id(scope))

    def embed_queries(self, scope: Scope, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed query texts by the collection's function, float32 (n, d).

        Raises NotFound, InvalidArgument, Busy, Unavailable.
        """
        function = completion.query_function(self._known_collection(scope), self._embedding)
        if not texts:
            return np.empty((0, 0), dtype=np.float32)
        return self._embedding.embed_queries(function, texts)

    def _warm_rows(self, scope: Scope, at: PointInTime | None) -> WarmRows | None:
        return None if scope.restriction is not None else self._reader.warm_rows(scope.collection, at)

    def _prepare_searches(self, scope: Scope, searches: "Sequence[Search]") -> "Sequence[Search]":
        """The searches with vectors instead of texts. Raises NotFound, InvalidArgument, Busy, Unavailable."""
        from afterglow.collection.read import search_request

        if search_request.reranks(searches):
            self._known_collection(scope)
            self._embedding.reranker.check()
        return self._embed_searches(scope, searches)

    def _embed_searches(self, scope: Scope, searches: "Sequence[Search]") -> "Sequence[Search]":
        """The searches with vectors instead of texts."""
        from afterglow.collection.read import search_request
        from afterglow.collection.read.search_request import DenseKnn, SparseKnn
        from afterglow.collection.read.sparse_knn import SparseQuery

        texts = search_request.dense_texts(searches)
        if not texts and not search_request.has_texts(searches):
            return searches
        vectors = dict(zip(texts, self.embed_queries(scope, texts), strict=True)) if texts else {}
        stored_schema = self._known_collection(scope).schema

        def resolve(knn: "TextKnn") -> "DenseKnn | SparseKnn":
            if knn.key == EMBEDDING:
                return DenseKnn(vectors[knn.text], knn.limit)
            vector = completion.sparse_query(stored_schema, knn.key, knn.text)
            return SparseKnn(knn.key, SparseQuery.from_stored(vector), knn.limit)

        return [search_request.with_vectors(search, resolve) for search in searches]
