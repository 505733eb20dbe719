"""`afterglow backup`: a copy of a data directory, or of one database; either may be in use."""

import sys
from pathlib import Path

from afterglow.bulk.dump.create import save
from afterglow.bulk.dump.layout import DumpStore
from afterglow.catalog import Catalog
from afterglow.cli.bars import progress_bar
from afterglow.deployment.backup_target import open_backup_target
from afterglow.deployment.directory_backup import backup as copy
from afterglow.deployment.local import open_local, require_data_directory
from afterglow.deployment.open import open_stores
from afterglow.settings import Settings, System


def backup(path: Path, into: Path, keep: int | None) -> None:
    """Copies the data directory `path` into a new folder in `into`, and says so.

    Raises NotFound, and what copying raises.
    """
    system = System()
    directory = open_local(require_data_directory(path), system)
    try:
        made = copy(directory, into, system, keep=keep)
    finally:
        directory.table.close()
    sys.stdout.write(f"{made.path}: {made.objects} objects, {made.new} of them new\n")
    for each in made.removed:
        sys.stdout.write(f"{each}: removed\n")


def backup_database(path: Path | None, settings: Settings, tenant: str, database: str, to: str) -> None:
    """Copies a database of the data directory `path`, or (None) of the AWS account, to the directory or prefix `to`.

    Raises NotFound, and what copying raises.
    """
    system = System()
    with open_stores(path and require_data_directory(path), settings, system) as stores:
        found = Catalog(stores.table, system).get_database(tenant, database)
        with progress_bar("bytes") as progress:
            task = progress.add_task(f"copying {database}", total=None)
            vault = DumpStore(*open_backup_target(to, settings, system, make=True), to)
            made = save(stores, found, vault, lambda _, size: progress.advance(task, size))
    removed = f"; {made.removed} of older copies removed" if made.removed else ""
    sys.stdout.write(
        f"{to}: {made.collections} collections in {made.objects} objects, {made.new} of them new, "
        f"{made.size / 1e6:.1f} MB{removed}\n"
    )
