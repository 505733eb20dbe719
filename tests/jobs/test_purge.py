"""What a drop leaves behind is cleaned up, and never meets what was made since."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from afterglow.catalog import collections, schema
from afterglow.collection import Engine
from afterglow.collection.types import Scope
from afterglow.deployment.base import NullQueue
from afterglow.deployment.local import open_local
from afterglow.jobs import purge
from afterglow.log import read as log
from afterglow.log.batch import Batch, Op
from afterglow.log.entry import EntryKind
from afterglow.settings import Settings, System
from tests.support.faulty import Dated
from tests.support.stores import WITH_RETENTION, new_collection, stores_at

TENANT, DATABASE = "default_tenant", "default_database"


def test_what_is_made_after_a_reset_outlives_the_sweep_of_what_was_before(tmp_path: Path) -> None:
    place, system = open_local(tmp_path, System()), System()
    settings = replace(Settings(), gc_grace_seconds=0.0, retention_seconds=0.0, log_inline_max_bytes=64)
    stores = place.stores(settings, system, NullQueue())
    engine = Engine(stores)
    engine.catalog.ensure_defaults()
    old_home = engine.catalog.get_database(TENANT, DATABASE)
    engine.reset()
    new_home = engine.catalog.get_database(TENANT, DATABASE)
    assert (old_home.id, old_home.name) == (new_home.id, new_home.name)
    # As a crash between forgetting the database and dropping its collections leaves it.
    engine.catalog.delete_database(old_home)
    engine.catalog.ensure_defaults()
    made = engine.create_collection(TENANT, DATABASE, "since", None, schema.reconcile(None, None, None))
    scope = Scope(TENANT, DATABASE, made.id)
    engine.write(scope, Batch(Op.ADD, ["a"], np.ones((1, 64), dtype=np.float32)))
    purge.purge_dropped(stores)
    assert engine.count(scope).count == 1
    assert [info.key for info in stores.objects.list(f"{made.id}/")]

    engine.delete_collection(TENANT, DATABASE, "since")
    purge.purge_dropped(replace(stores, settings=replace(settings, garbage_collection=False)))
    assert [info.key for info in stores.objects.list(f"{made.id}/")], "another table may reference the objects"
    purge.purge_dropped(stores)
    assert not list(stores.objects.list(f"{made.id}/"))
    engine.close()


def test_a_clock_that_is_ahead_purges_nothing_early_where_the_store_has_one(tmp_path: Path) -> None:
    clock = [1_000_000.0]
    system = System(now=lambda: clock[0])
    opened = open_local(tmp_path, system)
    stores = opened.stores(Settings(), system, NullQueue())
    stores = replace(stores, table=Dated(stores.table, clock[0]))
    engine = Engine(stores)
    engine.catalog.ensure_defaults()
    made = engine.create_collection(TENANT, DATABASE, "dropped", None, schema.reconcile(None, None, None))
    engine.delete_collection(TENANT, DATABASE, "dropped")
    clock[0] += 30 * 24 * 3600.0
    purge.purge_dropped(stores)
    assert collections.read_state(stores.table, made.id) is not None
    stores = replace(stores, table=Dated(stores.table, clock[0]))
    purge.purge_dropped(stores)
    assert collections.read_state(stores.table, made.id) is None
    engine.close()


def test_a_drop_that_crashed_before_its_seal_is_sealed(tmp_path: Path) -> None:
    stores = stores_at(tmp_path, replace(WITH_RETENTION, gc_grace_seconds=0.0))
    scope, collection = new_collection(stores)
    Engine(stores).write(scope, Batch(Op.ADD, ["a"], np.ones((1, 2), dtype=np.float32)))
    collections.drop(stores.table, stores.system, collection.id)
    before = log.last_entry(stores.table, collection.id)
    assert before is not None
    assert before.kind is EntryKind.BATCH
    purge.purge_dropped(stores)
    last = log.last_entry(stores.table, collection.id)
    assert last is not None
    assert last.kind is EntryKind.SEAL
    stores.table.close()
