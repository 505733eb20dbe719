"""The steps of moving a collection to another embedding function (protocol: `afterglow.bulk.reembed`)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from afterglow.bulk.endpoint import CollectionInfo, RecordStream
from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.bulk.reembed import overlap, progress
from afterglow.bulk.reembed.overlap import Overlap
from afterglow.bulk.reembed.record_sync import FIELDS, RecordSync, patiently
from afterglow.catalog import Collection
from afterglow.collection import Engine
from afterglow.collection.types import Include, Scope, Selection
from afterglow.collection.write.hold import hold, release
from afterglow.collection.write.replacement import replace_collection
from afterglow.errors import Busy, InvalidArgument, NotFound, PositionExpired
from afterglow.storage.ports import ConditionFailed

_WRITE_ROWS = 128
"""Documents in one write of the copy: embedded in seconds by the local model, and few enough for a table's item."""
_FREE_SWAPS = 3
"""Attempts to swap before writes are held: enough unless writers hardly ever pause."""
_RETRY_AFTER_SECONDS = 60.0
_SHOWN_IDS = 3


@dataclass(frozen=True, slots=True)
class ReembedRequest:
    """What to do.

    `queries` are texts to compare by; without them, `samples` records are queries by their own vectors. Below the
    overlap `min_overlap` nothing is swapped. With `swap` False everything but the swap is done. For the swap, writes to
    the source are held for at most `hold_seconds`, 0 for never, if writers never pause by themselves.
    """

    tenant: str
    database: str
    name: str
    queries: Sequence[str] = ()
    samples: int = 100
    k: int = 10
    min_overlap: float = 0.0
    swap: bool = True
    hold_seconds: float = 30.0
    skip_without_document: bool = False
    wait_until_indexed: bool = False


@dataclass(frozen=True, slots=True)
class ReembedReport:
    """The source and the copy as they are at the end; `skipped` records without a document are only in the source."""

    source: Collection
    copy: Collection
    records: int
    skipped: int
    overlap: Overlap | None
    is_swapped: bool


Listener = Callable[[int, int], None]
"""Gets the number of records of the source, and of those that the copy has."""


def reembed(engine: Engine, request: ReembedRequest, listener: Listener = lambda _, __: None) -> ReembedReport:
    """Embed a collection anew by the engine's own function, and replace it; goes on where another run has ended.

    Raises NotFound, InvalidArgument, AlreadyExists for the copy's name, WriteConflict if another run does the same,
    Busy if the collection is written faster than the function embeds, Unavailable, StorageFull.
    """
    run = _Run(engine, request, listener)
    run.catch_up()
    if request.wait_until_indexed:
        run.wait_until_indexed()
    compared = run.compare()
    return run.report(compared, run.swap() if request.swap else None)


class _Run:
    """One run: the two collections, and the progress that it owns."""

    def __init__(self, engine: Engine, request: ReembedRequest, listener: Listener) -> None:
        """Step 1. Raises what `reembed` raises."""
        self._engine = engine
        self._stores = engine.stores
        self._request = request
        self._write_rows = min(_WRITE_ROWS, engine.stores.settings.max_batch_size)
        self._listener = listener
        function = engine.own_function
        source = engine.get_collection(request.tenant, request.database, request.name)
        # Before anything is created: whether the function runs at all.
        patiently(self._stores.system, lambda: engine.embed(["a"]))
        self._source = source
        self._progress = progress.begin(self._stores, source, function, self._find_copy(source))
        self._sync = RecordSync(engine, self._scope(source.id), self._scope(self._progress.copy_id))

    def catch_up(self) -> None:
        """Steps 2 and 3."""
        if not self._progress.is_complete:
            self._pass()
        while True:
            try:
                self._follow()
            except PositionExpired:
                self._pass()
            else:
                return

    def wait_until_indexed(self) -> None:
        """Wait for the indexer, so that the first queries after the swap find an index. Raises Unavailable."""
        self._engine.wait_until_indexed(self._sync.copy)

    def compare(self) -> Overlap | None:
        """Step 4. Raises InvalidArgument."""
        self._sync.without_document.update(self._scan_without_document())
        self._require_documents()
        found = self._overlap()
        if found is not None and found.mean < self._request.min_overlap:
            raise InvalidArgument(
                f"{found}: less than {self._request.min_overlap:g} (--min-overlap), so {self._source.name!r} was not "
                f"replaced; the records are in {progress.copy_name(self._source.name)!r}"
            )
        return found

    def swap(self) -> Collection:
        """Step 5. Raises Busy."""
        for _ in range(_FREE_SWAPS):
            replaced = self._try_swap()
            if replaced is not None:
                return replaced
        return self._swap_while_held()

    def report(self, compared: Overlap | None, replaced: Collection | None) -> ReembedReport:
        """What was done."""
        copy = replaced or self._engine.get_collection_by_id(self._sync.copy)
        records = self._engine.count(self._sync.copy).count
        skipped = len(self._sync.without_document)
        return ReembedReport(self._source, copy, records, skipped, compared, is_swapped=replaced is not None)

    def _try_swap(self) -> Collection | None:
        """Follow and replace the source; None if a write came first."""
        self.catch_up()
        self._require_documents()
        source, copy = self._sync.source.collection, self._sync.copy.collection
        try:
            return replace_collection(self._stores, source, copy, self._progress.position, [self._progress.deletion])
        except ConditionFailed:
            raise progress.not_owner() from None

    def _swap_while_held(self) -> Collection:
        """Swap while no writer can be first. Raises Busy."""
        monotonic, seconds = self._stores.system.monotonic, self._request.hold_seconds
        if seconds:
            hold(self._stores, self._sync.source, seconds)
            end, replaced = monotonic() + seconds, None
            try:
                while replaced is None and monotonic() < end:
                    replaced = self._try_swap()
            finally:
                if replaced is None:
                    release(self._stores, self._sync.source.collection)
            if replaced is not None:
                return replaced
        held = f", although writes were held for {seconds:g} seconds" if seconds else ""
        raise Busy(
            f"collection {self._source.name!r} is being written too fast to be replaced{held}: run the command again, "
            f"which goes on from here, when there are fewer writes, or with a longer --hold",
            _RETRY_AFTER_SECONDS,
        )

    def _pass(self) -> None:
        """Step 2."""
        position = self._engine.count(self._sync.source).position or 0
        self._advance(position, is_complete=False)
        source = self._read(self._sync.source, FIELDS)
        done, seen = 0, set[str]()
        for page in source.pages:
            for start in range(0, len(page.ids), self._write_rows):
                part = page.slice(start, start + self._write_rows)
                self._owned(partial(self._sync.sync_page, part, self._progress.check))
                seen.update(part.ids)
                done += len(part.ids)
                self._listener(source.count, done)
        for page in self._read(self._sync.copy, frozenset()).pages:
            deleted = [name for name in page.ids if name not in seen]
            self._owned(partial(self._sync.delete, deleted, self._progress.check))
        self._advance(position, is_complete=True)

    def _follow(self) -> None:
        """Step 3, up to the end that the log has now. Raises PositionExpired."""
        # What is written meanwhile is left to the next call: a steady writer would keep this one for ever.
        end = self._engine.count(self._sync.source).position or 0
        while self._progress.position < end:
            changed = self._engine.changed_ids(self._sync.source, self._progress.position, self._write_rows)
            if changed.position == self._progress.position:
                return
            for start in range(0, len(changed.ids), self._write_rows):
                ids = changed.ids[start : start + self._write_rows]
                self._owned(partial(self._sync.sync, ids, self._progress.check))
            self._advance(changed.position, is_complete=True)

    def _advance(self, position: int, *, is_complete: bool) -> None:
        following = replace(self._progress, position=position, is_complete=is_complete)
        self._progress = progress.advance(self._stores, following)

    def _owned(self, write: Callable[[], None]) -> None:
        try:
            write()
        except ConditionFailed:
            raise progress.not_owner() from None

    def _scan_without_document(self) -> Iterator[str]:
        for page in self._read(self._sync.source, frozenset({Include.DOCUMENTS})).pages:
            yield from (name for name, text in zip(page.ids, page.documents or (), strict=True) if text is None)

    def _require_documents(self) -> None:
        """Raise InvalidArgument if the copy lacks records that it may not leave out."""
        names = sorted(self._sync.without_document)
        if names and not self._request.skip_without_document:
            shown = ", ".join(map(repr, names[:_SHOWN_IDS]))
            raise InvalidArgument(
                f"{len(names)} records of {self._source.name!r} have no document, so they cannot be embedded anew: "
                f"{shown}{', …' if len(names) > _SHOWN_IDS else ''}. Give them documents, delete them, or leave them "
                f"out (--skip-without-document)"
            )

    def _read(self, scope: Scope, include: frozenset[Include]) -> RecordStream:
        """The records of a collection at one point in time."""
        info = CollectionInfo(str(scope.collection), scope.tenant, scope.database, self._source.name)
        return LocalEndpoint(self._stores, self._engine).read(info, include)

    def _scope(self, collection_id: UUID) -> Scope:
        return Scope(self._source.tenant, self._source.database, collection_id)

    def _overlap(self) -> Overlap | None:
        request, scopes = self._request, (self._sync.source, self._sync.copy)
        if request.queries:
            return overlap.of_texts(self._engine, *scopes, request.queries, request.k)
        records = self._engine.count(self._sync.copy).count
        step = max(1, records // max(request.samples, 1))
        ids = [
            name
            for offset in range(0, records, step)
            for name in self._engine.get(self._sync.copy, Selection(), 1, offset, frozenset()).ids
        ]
        return overlap.of_records(self._engine, *scopes, ids[: request.samples], request.k)

    def _find_copy(self, source: Collection) -> Collection | None:
        try:
            return self._engine.get_collection(source.tenant, source.database, progress.copy_name(source.name))
        except NotFound:
            return None
