"""`afterglow restore`: a database from its copy."""

import sys
from pathlib import Path

from afterglow.cli.bars import bar
from afterglow.jobs import open as opening
from afterglow.jobs.elsewhere import open_elsewhere
from afterglow.jobs.place import NoQueue
from afterglow.moving import copies
from afterglow.moving.copies import Vault
from afterglow.moving.restoring import restore
from afterglow.settings import Ambient, Settings


def restore_database(
    path: Path | None, settings: Settings, origin: str, tenant: str | None, database: str | None
) -> None:
    """Makes the collections of the copy in `origin`, a directory or a prefix, and says so.

    In the data directory `path`, made where it is not there, or (None) in the AWS account; in the tenant and database
    that the copy is of, unless others are given. Raises NotFound, AlreadyExists, Corrupt, Unavailable.
    """
    ambient = Ambient()
    vault = Vault(*open_elsewhere(origin, settings, ambient, make=False), origin)
    saved = copies.read(vault)
    tenant, database = tenant or saved.tenant, database or saved.database
    place = opening.open_place(path, settings, ambient)
    stores = place.stores(settings, ambient, place.queue or NoQueue())
    try:
        with bar("bytes") as progress:
            task = progress.add_task(f"restoring {database}", total=sum(each.size for each in saved.collections))
            made = restore(stores, vault, tenant, database, lambda _, size: progress.advance(task, size))
    finally:
        stores.table.close()
    before = f", {made.before} were there from before" if made.before else ""
    sys.stdout.write(f"{tenant}/{database}: {made.made} collections, {made.size / 1e6:.1f} MB{before}\n")
