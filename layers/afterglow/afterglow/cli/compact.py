"""`afterglow compact`: the background work of a data directory or an account, done here and now."""

from pathlib import Path
from uuid import UUID

from afterglow.catalog import Catalog, collections
from afterglow.cli.lines import echo
from afterglow.deployment.base import NullQueue
from afterglow.deployment.local import require_data_directory
from afterglow.deployment.open import open_deployment
from afterglow.errors import NotFound
from afterglow.jobs.start import compact_all
from afterglow.settings import Settings, System
from afterglow.storage.ports import Table


def compact(path: Path | None, settings: Settings, collection: str | None, tenant: str, database: str) -> None:
    """Folds and compacts every collection, or the one named (or given by id), with a line for each.

    On the data directory `path`, or (None) in an AWS account. May run beside servers of the same. Raises NotFound, and
    what the work raises.
    """
    system = System()
    place = open_deployment(path and require_data_directory(path), settings, system)
    table = place.stores(settings, system, NullQueue()).table
    try:
        only = None if collection is None else _find(table, system, collection, tenant, database)
        for report in compact_all(place, settings, system, only):
            echo(
                f"{report.collection}: {report.flushed_ops} operations folded, {report.compactions} merges, "
                f"{report.collected} objects removed"
            )
    finally:
        table.close()


def _find(table: Table, system: System, collection: str, tenant: str, database: str) -> UUID:
    found = collections.by_name(table, Catalog(table, system).get_database(tenant, database), collection)
    if found is None:
        try:
            found = collections.by_id(table, UUID(collection))
        except ValueError:
            pass
    if found is None:
        raise NotFound(f"no collection {collection!r} in database {database!r} of tenant {tenant!r}")
    return found.id
