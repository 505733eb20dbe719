"""`afterglow restore`: a collection as it was at a moment, or a database from its copy."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from afterglow.api.http import request_params
from afterglow.bulk.dump import layout
from afterglow.bulk.dump.layout import DumpStore
from afterglow.bulk.dump.load import restore
from afterglow.catalog import Catalog, names
from afterglow.cli.bars import progress_bar
from afterglow.collection.replica.replica import Replica
from afterglow.deployment.backup_target import open_backup_target
from afterglow.deployment.local import require_data_directory
from afterglow.deployment.open import open_stores
from afterglow.jobs import restore as rollback
from afterglow.settings import Settings, System


def restore_database(
    path: Path | None, settings: Settings, origin: str, tenant: str | None, database: str | None
) -> None:
    """Makes the collections of the copy in `origin`, a directory or a prefix, and says so.

    In the data directory `path`, made where it is not there, or (None) in the AWS account; in the tenant and database
    that the copy is of, unless others are given. Raises NotFound, AlreadyExists, Corrupt, Unavailable.
    """
    system = System()
    vault = DumpStore(*open_backup_target(origin, settings, system, make=False), origin)
    saved = layout.read(vault)
    tenant, database = tenant or saved.tenant, database or saved.database
    with open_stores(path, settings, system, notify=True) as stores, progress_bar("bytes") as progress:
        task = progress.add_task(f"restoring {database}", total=sum(each.size for each in saved.collections))
        made = restore(stores, vault, tenant, database, lambda _, size: progress.advance(task, size))
    before = f", {made.before} were there from before" if made.before else ""
    sys.stdout.write(f"{tenant}/{database}: {made.made} collections, {made.size / 1e6:.1f} MB{before}\n")


def restore_collection(
    path: Path | None,
    settings: Settings,
    home: tuple[str, str],
    wanted: str,
    *,
    at: str | None,
    name: str | None,
    replace: bool,
) -> None:
    """Makes a fork of the collection as it was, and says so; `home` is its tenant and database.

    Raises NotFound, AlreadyExists, InvalidArgument, Unavailable, StorageFull.
    """
    moment = None if at is None else request_params.parse(at)
    if name is not None:
        names.validate_collection_name(name)
    with open_stores(path and require_data_directory(path), settings, System(), notify=True) as stores:
        place = Catalog(stores.table, stores.system).get_database(*home)
        source = rollback.find(stores, place, wanted)
        made = rollback.restore(stores, source, moment, name, replace=replace)
        records = Replica(stores, made.id).snapshot().records
    sys.stdout.write(f"{made.name}: {records} records as of log position {made.fork_position}, collection {made.id}\n")


def list_dropped(path: Path | None, settings: Settings, home: tuple[str, str]) -> None:
    """Writes a line for each dropped collection of a database that can be restored. Raises NotFound, Unavailable."""
    with open_stores(path and require_data_directory(path), settings, System(), notify=True) as stores:
        place = Catalog(stores.table, stores.system).get_database(*home)
        found = list(rollback.restorable(stores, place))
    for each in found:
        lines = f"dropped {_time(each.dropped_at)}, to be had until {_time(each.until)}"
        sys.stdout.write(f"{each.collection.name}  {each.collection.id}  {lines}\n")
    if not found:
        sys.stdout.write("no dropped collection can be restored\n")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
