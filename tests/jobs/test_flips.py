"""Flipped bits in every kind of stored object: `verify` finds each one that is not harmless.

Harmless is what nothing refers to: it can be deleted without any difference to the present or the past.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Include, Selection
from afterglow.errors import AfterglowError
from afterglow.jobs.every_collection import all_collections, all_dropped
from afterglow.jobs.indexer import index
from afterglow.jobs.verify import verify, verify_dropped
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.jobs.environment import Environment
from tests.support.stores import WITH_RETENTION, Clock, new_collection, quick_folder, stores_at

KINDS = ["manifest/", "archive/", "/log/", "/rows", "/strings", "/vectors", "/postings", "/graph", "/deleted"]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


@pytest.fixture(scope="module")
def env(folder: Path) -> Iterator[Environment]:
    """A collection with a past, a fork of it, and a dropped collection."""
    clock = Clock()
    stores = stores_at(folder, replace(WITH_RETENTION, retention_seconds=1e6), clock=clock)
    dropped_scope, _ = new_collection(stores, "dropped")
    scope, collection = new_collection(stores, sparse={"terms": False})
    env = Environment(stores, clock, scope, collection.id)
    for number in range(6):
        write(env, number)
        clock.skipped += 150_000  # another bucket of the retention window: the manifest stays
        index(stores, env.replica(), env.id, idle=True)
        if number == 3:
            Engine(stores).fork(scope, "forked")
    write(env, 7)
    other = Environment(stores, clock, dropped_scope, dropped_scope.collection)
    other.write("a", "b")
    other.flush()
    Engine(stores).delete_collection("default_tenant", "default_database", "dropped")
    yield env
    stores.table.close()


def write(env: Environment, number: int) -> None:
    names = [f"{number}-{row}" for row in range(9)]
    terms = {"terms": {"#type": "sparse_vector", "indices": [number], "values": [0.5]}}
    batch = Batch(Op.UPSERT, names, np.full((9, 3), number, dtype=np.float32), metadatas=[terms] * 9)
    Engine(env.stores).write(env.scope, replace(batch, documents=["x" * 60] * 9))
    if number > 1:
        env.delete(f"{number - 2}-1", f"{number - 1}-2")


def problems(stores: Stores) -> list[str]:
    found = []
    for target in all_collections(stores):
        report = verify(stores, target)
        assert report is not None
        found += [*report.problems, *report.past_problems]
    for dropped in all_dropped(stores):
        found += verify_dropped(stores, dropped, lambda _: None).notes
    return found


def contents(env: Environment) -> list[object]:
    """The present and every point of the past, read anew."""
    engine, include = Engine(env.stores), frozenset([Include.EMBEDDINGS, Include.DOCUMENTS, Include.METADATAS])
    (forked,) = [target for target in all_collections(env.stores) if target.name == "forked"]
    read: list[object] = []
    for scope in (env.scope, replace(env.scope, collection=forked.collection)):
        for position in range(1, 16):
            try:
                records = engine.get(scope, Selection(), None, 0, include, at=PointInTime(position=position))
            except AfterglowError as error:  # a point that is not retained
                read.append(type(error).__name__)
            else:
                vectors = np.asarray(records.embeddings).tobytes()
                read.append((records.ids, records.documents, records.metadatas, vectors))
        read.append(engine.get(scope, Selection(), None, 0, frozenset()).ids)
    return read


def test_the_directory_is_sound(env: Environment) -> None:
    assert problems(env.stores) == []
    objects = env.objects()
    assert [kind for kind in KINDS if not any(kind in key for key in objects)] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_found_or_harmless(env: Environment, folder: Path, kind: str) -> None:
    expected = contents(env)
    rng = random.Random(kind)
    unseen = []
    keys = [key for key in env.objects() if kind in key]
    for key in keys:
        path = folder / "objects" / key
        original = path.read_bytes()
        damaged = bytearray(original)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged))
        found = problems(env.stores)
        if not any(key in problem for problem in found):
            unseen.append(key)
            path.unlink()
            assert contents(env) == expected, f"{key} is needed, and verify did not see its damage"
        path.write_bytes(original)
    assert len(unseen) < len(keys), "not a single one is needed"
    assert problems(env.stores) == []


def test_a_missing_batch_of_the_past_is_found(env: Environment, folder: Path) -> None:
    key = min(key for key in env.objects() if "/log/" in key and str(env.id) in key)
    path = folder / "objects" / key
    content = path.read_bytes()
    path.unlink()
    assert any(key in problem for problem in problems(env.stores))
    path.write_bytes(content)
    assert problems(env.stores) == []
