"""Reads in transactions: `get`, `query` and `search` of the snapshot at a position of the log."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.read import read_path
from afterglow.collection.read.read_path import Hits
from afterglow.collection.reads import Reads
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Include, Records, Scope, Selection
from afterglow.collection.write import transaction as transactions

if TYPE_CHECKING:
    from afterglow.collection.read.ranked_search import RankedHits
    from afterglow.collection.read.search_request import Search


class TransactionReads(Reads):
    """Each reads now (`position` None), or at the position of the transaction's first read.

    All raise StaleRead, and InvalidArgument if the log has not reached the position, besides what the plain read
    raises. With `exact`, vectors are compared with every record, without an index.
    """

    def get_in_transaction(
        self,
        scope: Scope,
        selection: Selection,
        limit: int | None,
        offset: int,
        include: frozenset[Include],
        *,
        position: int | None,
    ) -> Records:
        """`get` in a transaction."""
        snapshot = self._transaction_snapshot(scope, selection.ids, position)
        return read_path.get(snapshot, selection, limit, offset, include, limits=self._limits)

    def find_in_transaction(
        self,
        scope: Scope,
        queries: NDArray[np.float32],
        n_results: int,
        selection: Selection,
        include: frozenset[Include],
        *,
        position: int | None,
        exact: bool,
    ) -> Hits:
        """`find` in a transaction."""
        return read_path.find(
            self._transaction_snapshot(scope, selection.ids, position),
            queries,
            n_results,
            selection,
            include,
            limits=self._limits,
            exact_search_max_rows=self._stores.settings.exact_search_max_rows,
            exact=exact,
        )

    def find_ranked_in_transaction(
        self, scope: Scope, searches: "Sequence[Search]", *, position: int | None, exact: bool
    ) -> "tuple[Sequence[Search], list[RankedHits], int]":
        """`find_ranked` in a transaction; the searches with vectors instead of texts, the hits, the position."""
        searches = self._prepare_searches(scope, searches)
        take_snapshot = partial(self._reader.snapshot_at_token, scope, position=position)
        snapshot, hits = self._find_ranked(searches, take_snapshot, exact=exact)
        return searches, hits, snapshot.applied_seq

    def _transaction_snapshot(self, scope: Scope, ids: Sequence[str] | None, position: int | None) -> Snapshot:
        take_snapshot = partial(self._reader.snapshot_at_token, scope)
        return transactions.snapshot_to_read(self._stores, scope, ids, position, take_snapshot)
