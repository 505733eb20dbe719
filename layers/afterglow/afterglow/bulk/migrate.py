"""Migrates collections from one endpoint to another and compares them (protocol: `afterglow.bulk`)."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from afterglow.bulk.endpoint import (
    ALL_FIELDS,
    NO_FIELDS,
    CollectionInfo,
    Endpoint,
    RecordStream,
    Source,
    with_legacy_parameters,
)
from afterglow.collection.types import Include, Records
from afterglow.errors import Corrupt, InternalError, InvalidArgument, Unavailable

_SAMPLE_SIZE = 500
_SAMPLE_PAGE = 100
_MAX_DIFFERENCES = 5


@dataclass(frozen=True, slots=True)
class MigrationFilter:
    """The collections to migrate; None: all."""

    tenant: str | None = None
    database: str | None = None
    collection: str | None = None


@dataclass(slots=True)
class MigrationReport:
    """A migrated collection: its records, those already in the target before, and the differences found.

    `failure` is the reason for which it could not be migrated, or not completely.
    """

    collection: CollectionInfo
    records: int = 0
    already_present: int = 0
    sampled: int = 0
    differences: list[str] = field(default_factory=list)
    failure: str | None = None


Progress = Callable[[CollectionInfo, int, int], None]
"""Gets the collection, the number of its records, and the number already in the target."""


def select_collections(source: Source, selected: MigrationFilter) -> Iterator[tuple[str, str, list[CollectionInfo]]]:
    """Tenant, database and its selected collections."""
    for tenant in source.tenants():
        if selected.tenant in (None, tenant):
            for database in source.databases(tenant):
                if selected.database in (None, database):
                    collections = source.collections(tenant, database)
                    yield tenant, database, [info for info in collections if selected.collection in (None, info.name)]


def do_nothing() -> None:
    """For sources that need no recovery."""


def migrate(
    source: Source,
    target: Endpoint,
    selected: MigrationFilter,
    progress: Progress,
    recover: Callable[[], None] = do_nothing,
) -> Iterator[MigrationReport]:
    """Migrate the selected collections one by one; continues an interrupted migration.

    A collection that the source cannot read is reported as failed, `recover` is called, and the others follow. Raises
    InvalidArgument if a collection of the target is not a prefix of the source's.
    """
    for tenant, database, collections in select_collections(source, selected):
        if not collections and selected.collection is not None:
            continue
        target.create_database(tenant, database)
        for collection in collections:
            try:
                yield _migrate_collection(_Reader(source), target, collection, progress)
            except _SourceFailed as error:
                recover()
                yield MigrationReport(collection, failure=str(error))


class _SourceFailed(Exception):
    """The source cannot read a collection; the text is the reason."""


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (Corrupt, InternalError, Unavailable) as error:
        raise _SourceFailed(error.message) from error


class _Reader:
    """The methods of the source that read one collection; what they raise if it is damaged becomes `_SourceFailed`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(
        self, collection: CollectionInfo, include: frozenset[Include] = ALL_FIELDS, offset: int = 0
    ) -> RecordStream:
        """Its records from `offset` on."""
        with _reading():
            stream = self._source.read(collection, include, offset)
        return RecordStream(stream.count, self._pages(stream.pages))

    def count(self, collection: CollectionInfo) -> int:
        """The number of its records."""
        with _reading():
            return self._source.count(collection)

    def get(self, collection: CollectionInfo, ids: Sequence[str]) -> Records:
        """The existing ones of these records."""
        with _reading():
            return self._source.get(collection, ids)

    def _pages(self, pages: Iterator[Records]) -> Iterator[Records]:
        while True:
            with _reading():
                page = next(pages, None)
            if page is None:
                return
            yield page


def _migrate_collection(
    source: _Reader, target: Endpoint, collection: CollectionInfo, progress: Progress
) -> MigrationReport:
    copy = target.find(collection.tenant, collection.database, collection.name) or target.create_collection(collection)
    before = _resume_point(source, target, collection, copy)
    contents = source.read(collection, offset=before)
    written, records = before, before + contents.count
    progress(collection, records, written)
    for page in _prefetch(contents):
        for start in range(0, len(page.ids), target.max_rows):
            batch = page.slice(start, start + target.max_rows)
            target.add(copy, batch)
            written += len(batch.ids)
            progress(collection, max(records, written), written)
    report = MigrationReport(collection, written, before)
    _compare(source, target, collection, copy, report)
    return report


def _resume_point(source: _Reader, target: Endpoint, collection: CollectionInfo, copy: CollectionInfo) -> int:
    """The number of the source's first records in the target. Raises InvalidArgument if it has any others."""
    present = target.read(copy, NO_FIELDS)
    if not present.count:
        return 0
    ours, theirs = _record_ids(present), _record_ids(source.read(collection, NO_FIELDS))
    for count, name in enumerate(ours):
        if next(theirs, None) != name:
            raise InvalidArgument(
                f"{copy} already exists, and its record {count + 1}, {name!r}, is not that of the source: delete the "
                f"collection, or migrate into another database"
            )
    return present.count


def _record_ids(contents: RecordStream) -> Iterator[str]:
    for page in contents.pages:
        yield from page.ids


def _prefetch(contents: RecordStream) -> Iterator[Records]:
    """The pages; the next one is fetched while one is processed."""
    with ThreadPoolExecutor(1, thread_name_prefix="afterglow-migrate") as reader:
        following = reader.submit(next, contents.pages, None)
        while (page := following.result()) is not None:
            following = reader.submit(next, contents.pages, None)
            yield page


def _compare(
    source: _Reader, target: Endpoint, collection: CollectionInfo, copy: CollectionInfo, report: MigrationReport
) -> None:
    """Compare counts, configuration, metadata, and a sample of records spread over the collection."""
    differences = report.differences
    present = target.find(collection.tenant, collection.database, collection.name)
    counts = source.count(collection), target.count(copy)
    if counts[0] != counts[1]:
        differences.append(f"{counts[0]} records in the source, {counts[1]} in the target")
    for name in ("configuration", "metadata", "dimension"):
        theirs, ours = getattr(collection, name), None if present is None else getattr(present, name)
        if name == "configuration":
            theirs = with_legacy_parameters(collection)
        if theirs != ours:
            differences.append(f"{name} is {_to_json(theirs)} in the source, {_to_json(ours)} in the target")
    if not counts[1]:
        return
    names = list(_record_ids(target.read(copy, NO_FIELDS)))
    rows = np.unique(np.linspace(0, len(names) - 1, _SAMPLE_SIZE).astype(int)).tolist()
    for start in range(0, len(rows), _SAMPLE_PAGE):
        ids = [names[row] for row in rows[start : start + _SAMPLE_PAGE]]
        differ = _differing(source.get(collection, ids), target.get(copy, ids), ids)
        report.sampled += len(ids)
        differences += differ[: max(0, _MAX_DIFFERENCES - len(differences))]


def _differing(theirs: Records, ours: Records, ids: Sequence[str]) -> list[str]:
    one, other = _by_id(theirs), _by_id(ours)
    differences = []
    for name in ids:
        if name not in one or name not in other:
            differences.append(f"record {name!r} is missing in the {'source' if name not in one else 'target'}")
            continue
        fields = ("embedding", "document", "metadata", "uri")
        wrong = [
            field_name for field_name, left, right in zip(fields, one[name], other[name], strict=True) if left != right
        ]
        if wrong:
            differences.append(f"record {name!r} has another {', '.join(wrong)}")
    return differences


def _by_id(records: Records) -> dict[str, tuple[Any, ...]]:
    assert records.embeddings is not None
    assert records.documents is not None
    assert records.metadatas is not None
    assert records.uris is not None
    embeddings = [vector.tobytes() for vector in np.ascontiguousarray(records.embeddings, dtype="<f4")]
    # Compared as JSON: 1, 1.0 and true are three values.
    metadatas = [None if metadata is None else _canonical(metadata) for metadata in records.metadatas]
    columns = zip(embeddings, records.documents, metadatas, records.uris, strict=True)
    return dict(zip(records.ids, columns, strict=True))


def _canonical(metadata: bytes) -> bytes:
    return orjson.dumps(orjson.loads(metadata), option=orjson.OPT_SORT_KEYS)


def _to_json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
