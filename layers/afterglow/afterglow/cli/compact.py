"""`afterglow compact`: the background work of a data directory or an account, done here and now."""

from pathlib import Path
from uuid import UUID

from afterglow.catalog import Catalog, collections
from afterglow.cli.lines import say
from afterglow.deployment.base import NoQueue
from afterglow.deployment.local import existing
from afterglow.deployment.open import open_place
from afterglow.errors import NotFound
from afterglow.jobs.start import compact_all
from afterglow.settings import Ambient, Settings
from afterglow.storage.ports import Table


def compact(path: Path | None, settings: Settings, collection: str | None, tenant: str, database: str) -> None:
    """Folds and compacts every collection, or the one named (or given by id), with a line for each.

    On the data directory `path`, or (None) in an AWS account. May run beside servers of the same. Raises NotFound, and
    what the work raises.
    """
    ambient = Ambient()
    place = open_place(path and existing(path), settings, ambient)
    table = place.stores(settings, ambient, NoQueue()).table
    try:
        only = None if collection is None else _find(table, ambient, collection, tenant, database)
        for report in compact_all(place, settings, ambient, only):
            say(
                f"{report.collection}: {report.folded_ops} operations folded, {report.merges} merges, "
                f"{report.collected} objects removed"
            )
    finally:
        table.close()


def _find(table: Table, ambient: Ambient, collection: str, tenant: str, database: str) -> UUID:
    found = collections.by_name(table, Catalog(table, ambient).get_database(tenant, database), collection)
    if found is None:
        try:
            found = collections.by_id(table, UUID(collection))
        except ValueError:
            pass
    if found is None:
        raise NotFound(f"no collection {collection!r} in database {database!r} of tenant {tenant!r}")
    return found.id
