"""`afterglow verify`: is everything there, whole and in agreement? One line per collection, one per problem."""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from afterglow.cli.failures import FAILED
from afterglow.deployment.local import require_data_directory
from afterglow.deployment.open import open_stores
from afterglow.errors import NotFound
from afterglow.jobs.verify import NamedCollection, VerifyReport, all_collections
from afterglow.jobs.verify import verify as look_at
from afterglow.settings import Settings, System
from afterglow.storage.ports import Stores


def verify(path: Path | None, settings: Settings, collection: str | None, tenant: str, database: str) -> None:
    """Looks at every collection, or at the one named (or given by id); ends the program with 1 where one is damaged.

    In the data directory `path`, or (None) in an AWS account. May run beside servers of the same. Raises NotFound.
    """
    system = System()
    with open_stores(path and require_data_directory(path), settings, system) as stores:
        chosen = list(all_collections(stores)) if collection is None else [_find(stores, collection, tenant, database)]
        is_sound = _show(stores, chosen)
    if not is_sound:
        raise SystemExit(FAILED)


def _show(stores: Stores, chosen: list[NamedCollection]) -> bool:
    is_sound = True
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for each in chosen:
            task = progress.add_task(str(each), total=None)
            found = look_at(stores, each, lambda size, task=task: progress.advance(task, size))  # type: ignore[misc]
            progress.remove_task(task)
            if found is None:
                continue
            sys.stdout.write("".join(f"{line}\n" for line in _lines(found)))
            is_sound = is_sound and not found.problems
    return is_sound


def _lines(found: VerifyReport) -> list[str]:
    verdict = "damaged" if found.problems else "sound"
    head = (
        f"{found.named}: {found.records} records, {found.segments} segments, {found.size / 1e6:.1f} MB, "
        f"{found.entries} log entries: {verdict}"
    )
    return [head, *(f"  {each}" for each in found.problems)]


def _find(stores: Stores, collection: str, tenant: str, database: str) -> NamedCollection:
    for each in all_collections(stores):
        is_here = (each.database.tenant, each.database.name) == (tenant, database)
        if (is_here and each.name == collection) or str(each.collection) == collection:
            return each
    raise NotFound(f"no collection {collection!r} in database {database!r} of tenant {tenant!r}")
