"""`afterglow compact`: the background work of a data directory, done here and now."""

import sys
from pathlib import Path
from uuid import UUID

from afterglow.catalog import Catalog, collections
from afterglow.errors import NotFound
from afterglow.jobs import open as opening
from afterglow.jobs.directory import TABLE, open_directory
from afterglow.settings import Ambient, Settings


def compact(path: Path, settings: Settings, collection: str | None, tenant: str, database: str) -> None:
    """Folds and compacts every collection, or the one named (or given by id), with a line for each.

    May run beside a server on the same directory. Raises NotFound, and what the work raises.
    """
    if not (path / TABLE).is_file():
        raise NotFound(f"{path}: no data directory, there is no {TABLE} in it")
    ambient = Ambient()
    only = None if collection is None else _find(path, ambient, collection, tenant, database)
    for report in opening.compact(open_directory(path, ambient), settings, ambient, only):
        sys.stdout.write(
            f"{report.collection}: {report.folded_ops} operations folded, {report.merges} merges, "
            f"{report.collected} objects removed\n"
        )
        sys.stdout.flush()


def _find(path: Path, ambient: Ambient, collection: str, tenant: str, database: str) -> UUID:
    table = open_directory(path, ambient).table
    try:
        found = collections.by_name(table, Catalog(table, ambient).get_database(tenant, database), collection)
        if found is None:
            try:
                found = collections.by_id(table, UUID(collection))
            except ValueError:
                pass
    finally:
        table.close()
    if found is None:
        raise NotFound(f"no collection {collection!r} in database {database!r} of tenant {tenant!r}")
    return found.id
