"""`afterglow backup`: a copy of a data directory, or of one database; either may be in use."""

import sys
from pathlib import Path

from afterglow.bulk.dump.create import save
from afterglow.bulk.dump.layout import Vault
from afterglow.catalog import Catalog
from afterglow.cli.bars import bar
from afterglow.deployment.backup_target import open_elsewhere
from afterglow.deployment.directory_backup import backup as copy
from afterglow.deployment.local import existing, open_directory
from afterglow.deployment.open import opened
from afterglow.settings import Ambient, Settings


def backup(path: Path, into: Path, keep: int | None) -> None:
    """Copies the data directory `path` into a new folder in `into`, and says so.

    Raises NotFound, and what copying raises.
    """
    ambient = Ambient()
    directory = open_directory(existing(path), ambient)
    try:
        made = copy(directory, into, ambient, keep=keep)
    finally:
        directory.table.close()
    sys.stdout.write(f"{made.path}: {made.objects} objects, {made.new} of them new\n")
    for each in made.removed:
        sys.stdout.write(f"{each}: removed\n")


def backup_database(path: Path | None, settings: Settings, tenant: str, database: str, to: str) -> None:
    """Copies a database of the data directory `path`, or (None) of the AWS account, to the directory or prefix `to`.

    Raises NotFound, and what copying raises.
    """
    ambient = Ambient()
    with opened(path and existing(path), settings, ambient) as stores:
        found = Catalog(stores.table, ambient).get_database(tenant, database)
        with bar("bytes") as progress:
            task = progress.add_task(f"copying {database}", total=None)
            vault = Vault(*open_elsewhere(to, settings, ambient, make=True), to)
            made = save(stores, found, vault, lambda _, size: progress.advance(task, size))
    removed = f"; {made.removed} of older copies removed" if made.removed else ""
    sys.stdout.write(
        f"{to}: {made.collections} collections in {made.objects} objects, {made.new} of them new, "
        f"{made.size / 1e6:.1f} MB{removed}\n"
    )
