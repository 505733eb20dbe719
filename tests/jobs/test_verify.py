"""`verify` finds and names each planted fault, and reports nothing for sound data, also while it is being written."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from afterglow.catalog import Catalog, collections, keys, schema
from afterglow.catalog import state as states
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope
from afterglow.jobs.every_collection import all_collections
from afterglow.jobs.indexer import index
from afterglow.jobs.verify import VerifyReport, verify
from afterglow.log import entry as entries
from afterglow.log.batch import Batch, Op
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import Stores
from tests.support.stores import new_collection, quick_folder, stores_at


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


@pytest.fixture
def stores(folder: Path) -> Iterator[Stores]:
    opened = stores_at(folder)
    yield opened
    opened.table.close()


def write(stores: Stores, scope: Scope, first: int, count: int = 9, op: Op = Op.UPSERT, text: str = "a") -> None:
    names = [f"{number}" for number in range(first, first + count)]
    vectors = np.full((count, 3), first, dtype=np.float32)
    metadatas = [{"terms": {"#type": "sparse_vector", "indices": [1], "values": [0.5]}}] * count
    Engine(stores).write(scope, Batch(op, names, vectors, documents=[text] * count, metadatas=metadatas))


def flush_and_compact(stores: Stores, scope: Scope) -> None:
    index(stores, Replica.for_indexer(stores, scope.collection), scope.collection, idle=True)


def found(stores: Stores) -> list[VerifyReport]:
    reports = [verify(stores, collection) for collection in all_collections(stores)]
    return [report for report in reports if report is not None]


def problems(stores: Stores) -> list[str]:
    return [problem for report in found(stores) for problem in report.problems]


@pytest.fixture
def scope(stores: Stores) -> Scope:
    """Two segments with deletion vectors, and an unflushed log with an entry of each kind."""
    scope = new_collection(stores)[0]
    write(stores, scope, 0, 20)
    flush_and_compact(stores, scope)
    write(stores, scope, 15, 9)
    flush_and_compact(stores, scope)
    write(stores, scope, 3, 2)
    write(stores, scope, 50, 2, text="x" * 500)
    Engine(stores).write(scope, Batch(Op.DELETE, ["1"]))
    return scope


def test_what_is_sound_is_counted(stores: Stores, scope: Scope) -> None:
    new_collection(stores, "empty")
    empty, tested = found(stores)
    assert (empty.problems, empty.records) == ([], 0)
    assert tested.problems == []
    assert (tested.records, tested.log_entries) == (25, 3)
    assert tested.byte_size > 0
    assert str(tested.target) == "default_tenant/default_database/tested"


def files(folder: Path, part: str) -> list[Path]:
    return sorted(path for path in (folder / "objects").rglob("*") if path.is_file() and part in str(path))


@pytest.mark.parametrize("role", ["rows", "strings", "vectors", "postings", "deleted", "manifest"])
@pytest.mark.parametrize("harm", ["flipped", "cut", "gone"])
def test_a_damaged_object(stores: Stores, scope: Scope, folder: Path, role: str, harm: str) -> None:
    state = collections.by_id(stores.table, scope.collection)
    assert state is not None
    assert state.manifest_key is not None
    manifest = manifests.load(stores.objects, state.manifest_key)
    named = [file.key for segment in manifest.segments for file in segment.objects] + [state.manifest_key]
    key = next(key for key in named if role in key)
    path = folder / "objects" / key
    body = bytearray(path.read_bytes())
    if harm == "gone":
        path.unlink()
    else:
        body[len(body) // 2] ^= 4
        path.write_bytes(body if harm == "flipped" else body[:-3])
    reported = problems(stores)
    assert reported
    assert all(key in problem for problem in reported)


def commit_modified(stores: Stores, scope: Scope, **changes: object) -> None:
    """Commit a modified manifest."""
    state = collections.by_id(stores.table, scope.collection)
    assert state is not None
    assert state.manifest_key is not None
    manifest = replace(manifests.load(stores.objects, state.manifest_key), **changes)  # type: ignore[arg-type]
    key = manifests.store(stores.objects, manifest, "0" * 24)
    collections.update(stores.table, scope.collection, lambda present: replace(present, manifest_key=key))


def test_an_id_that_is_there_twice(stores: Stores) -> None:
    scope = new_collection(stores)[0]
    write(stores, scope, 0, 9)
    flush_and_compact(stores, scope)
    other = new_collection(stores, "other")[0]
    write(stores, other, 5, 9)
    flush_and_compact(stores, other)
    found = collections.by_id(stores.table, other.collection), collections.by_id(stores.table, scope.collection)
    segments = [
        manifests.load(stores.objects, item.manifest_key).segments for item in found if item and item.manifest_key
    ]
    commit_modified(stores, scope, segments=(*segments[1], *segments[0]), records=18)
    reported = problems(stores)
    assert [f"{number!r} is not unique" in " ".join(reported) for number in ("5", "7", "3")] == [True, True, False]
    assert any("an insertion sequence number is not unique" in problem for problem in reported)


def test_a_row_seq_above_the_next_one(stores: Stores, scope: Scope) -> None:
    commit_modified(stores, scope, next_row_seq=4)
    assert any("is not below the next one, 4" in problem for problem in problems(stores))


def test_a_manifest_that_the_state_contradicts(stores: Stores, scope: Scope) -> None:
    commit_modified(stores, scope, flushed_ops=7)
    assert any("the state to entry" in problem for problem in problems(stores))


def test_fewer_deleted_rows_than_claimed(stores: Stores, scope: Scope) -> None:
    state = collections.by_id(stores.table, scope.collection)
    assert state is not None
    assert state.manifest_key is not None
    manifest = manifests.load(stores.objects, state.manifest_key)
    segments = [
        replace(segment, deleted_rows=segment.deleted_rows + 1) if segment.deletions is not None else segment
        for segment in manifest.segments
    ]
    assert segments != list(manifest.segments)
    commit_modified(stores, scope, segments=tuple(segments), records=manifest.records - 1)
    assert any("deleted rows of its manifest" in problem for problem in problems(stores))


def log(stores: Stores, scope: Scope) -> list[entries.Entry]:
    items = stores.table.query(keys.collection(scope.collection), after=entries.BEFORE_ALL, before=entries.AFTER_ALL)
    return [entries.decode(item) for item in items]


def remove_entry(stores: Stores, scope: Scope) -> str:
    seq = log(stores, scope)[-2].seq
    stores.table.delete(keys.collection(scope.collection), entries.key(seq))
    return f"has no entry {seq}"


def replace_entry_by_placeholder(stores: Stores, scope: Scope) -> str:
    entry = log(stores, scope)[-2]
    value = entries.encode(entries.placeholder_for(entry))
    stores.table.put(keys.collection(scope.collection), entries.key(entry.seq), value)
    return f"log entry {entry.seq} of collection {scope.collection} is a placeholder"


def spoil_entry(stores: Stores, scope: Scope) -> str:
    seq = log(stores, scope)[-1].seq
    stores.table.put(keys.collection(scope.collection), entries.key(seq), b"?")
    return entries.key(seq)


def spoil_placeholder(stores: Stores, scope: Scope) -> str:
    seq = log(stores, scope)[0].seq
    stores.table.put(keys.collection(scope.collection), entries.key(seq), b'{"format": 0}\n')
    return entries.key(seq)


def spoil_frame(stores: Stores, scope: Scope) -> str:
    entry = log(stores, scope)[-1]
    assert entry.payload is not None
    value = entries.encode(replace(entry, payload=entry.payload[:-1] + b"!"))
    stores.table.put(keys.collection(scope.collection), entries.key(entry.seq), value)
    return f"log entry {entry.seq}"


def lose_batch(stores: Stores, scope: Scope) -> str:
    (key,) = [
        item.payload_key for item in log(stores, scope) if item.payload_key is not None and item.kind.value == "batch"
    ]
    stores.objects.delete(key)
    return key


def spoil_state(stores: Stores, scope: Scope) -> str:
    stores.table.put(keys.collection(scope.collection), keys.STATE, b"{}")
    return str(scope.collection)


def lose_state(stores: Stores, scope: Scope) -> str:
    stores.table.delete(keys.collection(scope.collection), keys.STATE)
    return "has no state"


def rename_state(stores: Stores, scope: Scope) -> str:
    collections.update(stores.table, scope.collection, lambda present: replace(present, name="another"))
    return "is that of default_tenant/default_database/another"


def drop_state(stores: Stores, scope: Scope) -> str:
    collections.update(stores.table, scope.collection, lambda present: replace(present, is_dropped=True))
    return "is dropped"


def swap_state(stores: Stores, scope: Scope) -> str:
    other = new_collection(stores, "other")[1]
    stores.table.put(
        keys.names_partition(other.namespace_id), keys.NAME + "tested", orjson.dumps({"id": str(other.id)})
    )
    return "is that of default_tenant/default_database/other"


@pytest.mark.parametrize(
    "harm",
    [
        *(remove_entry, replace_entry_by_placeholder, spoil_entry, spoil_placeholder, spoil_frame, lose_batch),
        *(spoil_state, lose_state, rename_state, drop_state, swap_state),
    ],
)
def test_a_damaged_log_or_state(stores: Stores, scope: Scope, harm: Callable[[Stores, Scope], str]) -> None:
    expected = harm(stores, scope)
    assert any(expected in problem for problem in problems(stores)), problems(stores)


def test_one_damaged_collection_hides_no_other(stores: Stores, scope: Scope) -> None:
    new_collection(stores, "sound")
    lose_state(stores, scope)
    assert [bool(report.problems) for report in found(stores)] == [False, True]


def test_a_state_of_an_unknown_version_is_one_problem(stores: Stores, scope: Scope) -> None:
    item = stores.table.get(keys.collection(scope.collection), keys.STATE)
    assert item is not None
    value = {**orjson.loads(states.encode(states.decode(item))), "format": 99}
    stores.table.put(item.pk, item.sk, orjson.dumps(value))
    assert len(problems(stores)) == 1


@pytest.mark.slow
def test_nothing_is_wrong_while_it_is_written_flushed_and_dropped(folder: Path, stores: Stores) -> None:
    """Checkpoints are replaced and their objects collected during the check."""
    scope = new_collection(stores)[0]
    write(stores, scope, 0, 30)
    done = threading.Event()
    failed: list[BaseException] = []

    def busy() -> None:
        own = stores_at(folder, replace(stores.settings, gc_grace_seconds=0.0))
        try:
            for number in range(25):
                write(own, scope, number, 7, text="x" * (number % 3) * 300)
                Engine(own).write(scope, Batch(Op.DELETE, [f"{number * 2}"]))
                flush_and_compact(own, scope)
                other = new_collection(own, f"passing{number}")[0]
                write(own, other, 0)
                Engine(own).delete_collection(other.tenant, other.database, f"passing{number}")
        except BaseException as error:  # noqa: BLE001 - raised by the test's own thread
            failed.append(error)
        finally:
            own.table.close()
            done.set()

    thread = threading.Thread(target=busy)
    thread.start()
    reported, rounds = [], 0
    while not done.is_set() or not rounds:
        reported += problems(stores)
        rounds += 1
    thread.join()
    assert not failed
    assert reported == []
    assert problems(stores) == []


def test_a_fork_and_what_expires_are_sound(stores: Stores, scope: Scope) -> None:
    Engine(stores).fork(scope, "forked")
    catalog = Catalog(stores.table, stores.system)
    metadata = {"afterglow:ttl_key": "until"}
    place = catalog.get_database("default_tenant", "default_database")
    made = Engine(stores).create_collection(
        place.tenant, place.name, "passing", metadata, schema.reconcile(None, None, None)
    )
    own = Scope(place.tenant, place.name, made.id)
    for first in range(0, 30, 10):
        names = [f"{number}" for number in range(first, first + 10)]
        gone: list[dict[str, int] | None] = [{"until": 1} if number % 2 else None for number in range(10)]
        Engine(stores).write(own, Batch(Op.ADD, names, np.ones((10, 3), dtype=np.float32), metadatas=gone))
        assert problems(stores) == []
        if first < 20:
            flush_and_compact(stores, own)
            assert problems(stores) == []
    assert Engine(stores).count(own).count == 15
