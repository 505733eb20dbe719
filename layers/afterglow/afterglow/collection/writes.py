"""Operations that write records, and transactions."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import erasures
from afterglow.catalog.erasures import Erasure
from afterglow.catalog.model import Collection
from afterglow.collection import restriction
from afterglow.collection.engine_parts import EngineParts
from afterglow.collection.read import read_path
from afterglow.collection.types import (
    CountResult,
    LogPosition,
    Scope,
    Selection,
)
from afterglow.collection.write import admission, erasure, joint_commit, lifecycle, log_end, write_path
from afterglow.collection.write import transaction as transactions
from afterglow.collection.write.deletion_space import with_reserved_space
from afterglow.collection.write.log_end import LogEnd
from afterglow.collection.write.transaction import CommitResult, Transaction
from afterglow.embedding import completion
from afterglow.embedding.function import dense_function
from afterglow.errors import Forbidden, NotFound
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Write


class Writes(EngineParts):
    """The operations that write."""

    def write(self, scope: Scope, batch: Batch, extra_writes: Sequence[Write] = ()) -> int | None:
        """Make an add, update or upsert durable; the next read sees it. The number of its log entry, None for no ids.

        Documents without an embedding are embedded first. `extra_writes` are written in one transaction with the entry.
        Raises NotFound, InvalidArgument, Busy, Unavailable, and ConditionFailed if the condition of an extra write
        fails: in each case nothing is written.
        """
        completed = self._complete(scope, batch)
        if scope.restriction is not None:
            assert not extra_writes, "imports have no restriction"
            return self._write_admitted(scope, completed)
        return self._write(scope, completed, extra_writes)

    def embeds_texts(self, scope: Scope) -> bool:
        """Whether the function that the collection names runs here; also if it names none. Raises NotFound."""
        named = dense_function(self.get_collection_by_id(scope).schema)
        return named is None or self._embedding.runs(named)

    def embed_documents(self, scope: Scope, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed documents by the collection's function, float32 (n, d), to be written by the caller.

        A collection without a function gets ours into its configuration. Raises NotFound, InvalidArgument, Busy,
        Unavailable.
        """
        collection = self.get_collection_by_id(scope)
        function = completion.query_function(collection, self._embedding)
        vectors = self._embedding.embed_documents(function, texts)
        self._reader.observe(lifecycle.adopt_function(self._stores, scope.collection, function))
        return vectors

    def delete(self, scope: Scope, selection: Selection, limit: int | None = None) -> CountResult:
        """Delete the selected records and count them; by ids alone, the count is the number of ids, as in Chroma."""
        return with_reserved_space(self._stores, lambda: self._delete(scope, selection, limit))

    def erase(self, scope: Scope, selection: Selection, limit: int | None = None) -> tuple[CountResult, Erasure | None]:
        """Delete the selected records, here and in all forks, and have them erased everywhere (`jobs.erasure`).

        None if no record is selected. Raises Forbidden for the holder of a key with filters, LimitExceeded, NotFound,
        Busy, Unavailable.
        """
        if scope.restriction is not None:
            raise Forbidden("a key with filters cannot erase: an erasure also concerns the past and the forks")
        self.get_collection_by_id(scope)
        ids = list(dict.fromkeys(selection.ids or ()))
        if selection.where is not None or selection.where_document is not None:
            snapshot = self._reader.snapshot(scope, selection.ids)
            ids = read_path.matching_ids(snapshot, selection, limit, self._stores.settings.max_read_seconds)
        started = erasure.request(self._stores, scope.collection, ids) if ids else None
        return CountResult(len(ids), None), started

    def erasures(self, scope: Scope) -> list[Erasure]:
        """The erasures that concern a collection, the oldest first. Raises Forbidden, NotFound, Unavailable."""
        if scope.restriction is not None:
            raise Forbidden("a key with filters cannot read reports of erasures")
        self.get_collection_by_id(scope)
        found = erasures.list_all(self._stores.table)
        return [one for one in found if scope.collection in (one.collection, *(one.members or ()))]

    def commit(self, scope: Scope, transaction: Transaction) -> CommitResult:
        """Make all operations of a transaction durable as one entry, unless what it has read was written since.

        Documents without an embedding are embedded first. Raises WriteConflict, StaleRead, and what `write` raises: in
        each case nothing is written.
        """
        completed = self._completed(scope, transaction)

        def run() -> CommitResult:
            with self._open_to_write(scope) as end:
                take_snapshot = partial(self._reader.snapshot_at_token, scope)
                return transactions.commit(self._stores, end, scope, completed, take_snapshot)

        if transactions.only_deletes(completed):
            return with_reserved_space(self._stores, run)
        return run()

    def commit_together(self, parts: Sequence[tuple[Scope, Transaction]]) -> list[CommitResult]:
        """Commit a transaction of several collections: in all of them, or in none (`collection.write.joint_commit`).

        The collections differ. The results are in the order of the parts. Raises what `commit` raises: then nothing is
        written.
        """
        completed = [(scope, self._completed(scope, transaction)) for scope, transaction in parts]

        def run() -> list[CommitResult]:
            with ExitStack() as stack:
                members = [
                    joint_commit.Member(
                        stack.enter_context(self._open_to_write(scope)),
                        scope,
                        transaction,
                        partial(self._reader.snapshot_at_token, scope),
                    )
                    for scope, transaction in completed
                ]
                return joint_commit.commit(self._stores, members)

        if all(transactions.only_deletes(transaction) for _, transaction in completed):
            return with_reserved_space(self._stores, run)
        return run()

    def _completed(self, scope: Scope, transaction: Transaction) -> Transaction:
        """The transaction with the vectors that its operations lack, under the restriction of the scope."""
        operations = [
            self._complete(scope, operation)
            if isinstance(operation, Batch) and operation.op is not Op.DELETE
            else operation
            for operation in transaction.operations
        ]
        completed = replace(transaction, operations=operations)
        return completed if scope.restriction is None else transactions.restricted(completed)

    def _delete(self, scope: Scope, selection: Selection, limit: int | None) -> CountResult:
        if selection.where is None and selection.where_document is None:
            ids = list(selection.ids or ())
            batch = Batch(Op.DELETE, ids)
            if scope.restriction is not None:
                return CountResult(len(ids), self._write_admitted(scope, batch))
            return CountResult(len(ids), self._write(scope, batch))

        def evaluate() -> tuple[LogPosition, list[str]]:
            snapshot = self._reader.snapshot(scope, selection.ids)
            ids = read_path.matching_ids(snapshot, selection, limit, self._stores.settings.max_read_seconds)
            return snapshot.log_position, ids

        return write_path.delete_where(self._stores, self._reader.log_end(scope), scope.collection, evaluate)

    def _complete(self, scope: Scope, batch: Batch) -> Batch:
        """The batch with the vectors that it lacks."""
        if completion.lacks_embeddings(batch):
            collection = self.get_collection_by_id(scope)  # not a cached one: its function may have changed
        elif batch.documents is None and batch.metadatas is None:
            return batch
        else:
            collection = self._collection_to_write(scope)
        completed = completion.complete(batch, collection, self._embedding)
        if completed.new_function is not None:
            self._reader.observe(lifecycle.adopt_function(self._stores, scope.collection, completed.new_function))
        return completed.batch

    def _collection_to_write(self, scope: Scope) -> Collection:
        end = self._reader.log_end(scope)
        try:
            return log_end.known_collection(self._stores, end, scope)
        except NotFound:
            self._reader.evict(scope.collection)
            raise

    def _write(self, scope: Scope, batch: Batch, extra_writes: Sequence[Write] = ()) -> int | None:
        with self._open_to_write(scope) as end:
            return write_path.write(self._stores, end, scope, [batch], extra_writes=extra_writes)

    def _write_admitted(self, scope: Scope, batch: Batch) -> int | None:
        def admit() -> tuple[LogPosition, list[Batch]]:
            snapshot = self._reader.snapshot(scope, admission.ids_of([batch]))
            return snapshot.log_position, admission.admit(
                snapshot, restriction.require_filter(snapshot, scope), [batch]
            )

        with self._open_to_write(scope) as end:
            return write_path.write_evaluated(self._stores, end, scope, admit).position

    @contextmanager
    def _open_to_write(self, scope: Scope) -> Iterator[LogEnd]:
        """The end of the collection's log; then its readers follow, or it is evicted if it was not found."""
        end = self._reader.log_end(scope)
        try:
            yield end
            self._reader.follow(scope.collection)
        except NotFound as error:
            if error.collection == scope.collection:  # and not another one of a joint commit
                self._reader.evict(scope.collection)
            raise
        finally:
            self._reader.trim()
