"""Everything of one side to another, and whether it has arrived (protocol: `afterglow.bulk`)."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from afterglow.bulk.endpoint import NO_FIELDS, CollectionInfo, Endpoint, RecordStream, slice_records
from afterglow.collection.types import Records
from afterglow.errors import InvalidArgument

_SAMPLED = 500
_SAMPLED_AT_ONCE = 100
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class MigrationFilter:
    """What to move; None: all there is."""

    tenant: str | None = None
    database: str | None = None
    collection: str | None = None


@dataclass(slots=True)
class MigrationReport:
    """A collection that was moved: records in the source, those that were there before, and what differs."""

    collection: CollectionInfo
    records: int = 0
    already_present: int = 0
    sampled: int = 0
    differences: list[str] = field(default_factory=list)


Progress = Callable[[CollectionInfo, int, int], None]
"""Is told of the collection, of how many records it has, and of how many are there."""


def select_collections(source: Endpoint, selected: MigrationFilter) -> Iterator[tuple[str, str, list[CollectionInfo]]]:
    """Tenant, database and its collections, of what is wanted."""
    for tenant in source.tenants():
        if selected.tenant in (None, tenant):
            for database in source.databases(tenant):
                if selected.database in (None, database):
                    found = source.collections(tenant, database)
                    yield tenant, database, [each for each in found if selected.collection in (None, each.name)]


def migrate(source: Endpoint, target: Endpoint, selected: MigrationFilter, progress: Progress) -> Iterator[MigrationReport]:
    """Move what is wanted, a collection at a time; go on where that was interrupted before.

    Raises InvalidArgument where the target has a collection of the name that is not the beginning of the source's.
    """
    for tenant, database, collections in select_collections(source, selected):
        if not collections and selected.collection is not None:
            continue
        target.create_database(tenant, database)
        for each in collections:
            yield _migrate_collection(source, target, each, progress)


def _migrate_collection(source: Endpoint, target: Endpoint, of: CollectionInfo, progress: Progress) -> MigrationReport:
    made = target.find(of.tenant, of.database, of.name) or target.create_collection(of)
    before = _resume_point(source, target, of, made)
    contents = source.read(of, offset=before)
    there, records = before, before + contents.count
    progress(of, records, there)
    for page in _prefetch(contents):
        for start in range(0, len(page.ids), target.max_rows):
            some = slice_records(page, start, start + target.max_rows)
            target.add(made, some)
            there += len(some.ids)
            progress(of, max(records, there), there)
    moved = MigrationReport(of, there, before)
    _compare(source, target, of, made, moved)
    return moved


def _resume_point(source: Endpoint, target: Endpoint, of: CollectionInfo, made: CollectionInfo) -> int:
    """How many of the source's first records the target has. Raises InvalidArgument where it has any other."""
    have = target.read(made, NO_FIELDS)
    if not have.count:
        return 0
    ours, theirs = _record_ids(have), _record_ids(source.read(of, NO_FIELDS))
    for count, name in enumerate(ours):
        if next(theirs, None) != name:
            raise InvalidArgument(
                f"{made} is there already, and its record {count + 1}, {name!r}, is not that of the source: delete the "
                f"collection, or move into another place"
            )
    return have.count


def _record_ids(contents: RecordStream) -> Iterator[str]:
    for page in contents.pages:
        yield from page.ids


def _prefetch(contents: RecordStream) -> Iterator[Records]:
    """The pages; the next one is fetched while one is worked on."""
    with ThreadPoolExecutor(1, thread_name_prefix="afterglow-move") as reader:
        following = reader.submit(next, contents.pages, None)
        while (page := following.result()) is not None:
            following = reader.submit(next, contents.pages, None)
            yield page


def _compare(
    source: Endpoint, target: Endpoint, of: CollectionInfo, made: CollectionInfo, moved: MigrationReport
) -> None:
    """Counts, configuration and metadata, and records all over the collection."""
    told = moved.differences
    present = target.find(of.tenant, of.database, of.name)
    counts = source.count(of), target.count(made)
    if counts[0] != counts[1]:
        told.append(f"{counts[0]} records in the source, {counts[1]} in the target")
    for what in ("configuration", "metadata", "dimension"):
        theirs, ours = getattr(of, what), None if present is None else getattr(present, what)
        if theirs != ours:
            told.append(f"{what} is {_shown(theirs)} in the source, {_shown(ours)} in the target")
    if not counts[1]:
        return
    names = list(_record_ids(target.read(made, NO_FIELDS)))
    places = np.unique(np.linspace(0, len(names) - 1, _SAMPLED).astype(int)).tolist()
    for start in range(0, len(places), _SAMPLED_AT_ONCE):
        ids = [names[each] for each in places[start : start + _SAMPLED_AT_ONCE]]
        differ = _differing(source.get(of, ids), target.get(made, ids), ids)
        moved.sampled += len(ids)
        told += differ[: max(0, _SHOWN - len(told))]


def _differing(theirs: Records, ours: Records, ids: Sequence[str]) -> list[str]:
    one, other = _by_id(theirs), _by_id(ours)
    told = []
    for name in ids:
        if name not in one or name not in other:
            told.append(f"record {name!r} is missing in the {'source' if name not in one else 'target'}")
            continue
        fields = ("embedding", "document", "metadata", "uri")
        wrong = [what for what, left, right in zip(fields, one[name], other[name], strict=True) if left != right]
        if wrong:
            told.append(f"record {name!r} has another {', '.join(wrong)}")
    return told


def _by_id(records: Records) -> dict[str, tuple[Any, ...]]:
    assert records.embeddings is not None
    assert records.documents is not None
    assert records.metadatas is not None
    assert records.uris is not None
    embeddings = [each.tobytes() for each in np.ascontiguousarray(records.embeddings, dtype="<f4")]
    # Told apart as JSON tells them apart: 1, 1.0 and true are three.
    metadatas = [None if each is None else _canonical(each) for each in records.metadatas]
    columns = zip(embeddings, records.documents, metadatas, records.uris, strict=True)
    return dict(zip(records.ids, columns, strict=True))


def _canonical(metadata: bytes) -> bytes:
    return orjson.dumps(orjson.loads(metadata), option=orjson.OPT_SORT_KEYS)


def _shown(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
