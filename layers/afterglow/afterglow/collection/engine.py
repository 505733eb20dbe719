"""The engine: every operation of the API, over one deployment's stores. Safe for any number of threads."""

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.administration import Administration
from afterglow.collection.transaction_reads import TransactionReads
from afterglow.collection.types import Scope
from afterglow.collection.write import slowdown
from afterglow.collection.write.slowdown import OwnIndexer
from afterglow.collection.writes import Writes
from afterglow.embedding.function import EmbeddingFunction
from afterglow.errors import InvalidArgument, NotFound, Unavailable
from afterglow.storage.ports import Stores

_POLL_SECONDS = 0.25


class Engine(Administration, TransactionReads, Writes):
    """Collections by scope; tenants and databases through `catalog`, API keys through `keys`."""

    def __init__(
        self,
        stores: Stores,
        background: Executor | None = None,
        indexer: OwnIndexer | None = None,
    ) -> None:
        """`background` refreshes checkpoints; without it, reads do. The `indexer` is closed with the engine.

        Raises InvalidArgument for invalid settings of embedding.
        """
        super().__init__(stores, background)
        self._background = background
        self._indexer = indexer

    @property
    def open_collections(self) -> int:
        """The number of collections open in memory."""
        return self._reader.open_collections

    @property
    def own_function(self) -> EmbeddingFunction:
        """The server's own embedding function. Raises InvalidArgument if it has none."""
        if self._embedding.default is None:
            raise InvalidArgument("this server has no embedding function of its own (AFTERGLOW_EMBEDDER)")
        return self._embedding.default

    def take_recall(self) -> tuple[int, int]:
        """The true neighbours that sampled queries have found since the last call, and how many there were."""
        return (0, 0) if self._recall is None else self._recall.take()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts by the server's own function, float32 (n, d). Raises InvalidArgument, Busy, Unavailable."""
        return self._embedding.embed_documents(self.own_function, texts)

    def slowdown_seconds(self, scope: Scope, ops: int) -> float:
        """How long the answer to a write of so many operations should wait for the indexer of this process."""
        if self._indexer is None:
            return 0.0
        waiting = self._indexer.waiting_ops(scope.collection, self._reader.written_ops(scope.collection))
        is_searched = self._reader.was_searched(scope.collection)
        return slowdown.slowdown_seconds(waiting, ops, self._stores.settings.slow_writes_ops, is_searched=is_searched)

    def wait_until_indexed(self, scope: Scope) -> None:
        """Wait until all that was written is indexed, by any indexer; not for a collection that is dropped.

        Raises Unavailable if this process's own indexer fails again and again; all that was written is stored then.
        """
        with suppress(NotFound):
            while (status := self.indexing_status(scope)).indexed_ops < status.total_ops:
                problem = None if self._indexer is None else self._indexer.problem(scope.collection)
                if problem is not None:
                    raise Unavailable(f"everything is stored, but it cannot be indexed: {problem}")
                self._stores.system.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raises Unavailable or another error if the table cannot be read, or the own indexer does not respond."""
        self.catalog.list_tenants()
        if self._indexer is not None:
            self._indexer.check()

    def close(self) -> None:
        """Close the table; reads and writes fail from now on."""
        if self._indexer is not None:
            self._indexer.close()
        self._embedding.close()
        if self._recall is not None:
            self._recall.close()
        if self._background is not None:
            self._background.shutdown(wait=True, cancel_futures=True)
        self._stores.table.close()
