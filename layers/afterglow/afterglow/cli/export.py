"""`afterglow export`: a collection as a file, with what is needed to make it again beside it."""

import sys
from collections.abc import Callable
from pathlib import Path

from afterglow.bulk import export as exporting
from afterglow.bulk.open_endpoints import open_source
from afterglow.bulk.sidecar import path_of
from afterglow.cli.bars import progress_bar
from afterglow.errors import NotFound
from afterglow.settings import Settings, System


def export(
    url: str | None,
    path: Path | None,
    settings: Settings,
    *,
    collection: str,
    file: Path,
    tenant: str,
    database: str,
) -> None:
    """Writes the collection of a server, else of a directory, else (neither) of the AWS account, and says so.

    Raises NotFound, InvalidArgument, AlreadyExists, Unavailable, OSError.
    """
    exporting.check(file)
    system = System()
    with open_source(url, path, settings, system) as side, progress_bar("records") as progress:
        found = side.find(tenant, database, collection)
        if found is None:
            raise NotFound(f"no collection {collection!r} in database {database!r} of tenant {tenant!r}")
        task = progress.add_task(f"exporting {collection}", total=None)

        def begun(records: int) -> Callable[[int], None]:
            progress.update(task, total=records)
            return lambda rows: progress.advance(task, rows)

        count = exporting.export(side, found, file, system, begun)
    sys.stdout.write(f"{file}: {count} records, {file.stat().st_size / 1e6:.1f} MB; {path_of(file).name} beside it\n")
