"""`afterglow import --from-chroma`: everything of a genuine Chroma, or part of it, into a place of this one."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rich.progress import TaskID

from afterglow.bulk import chroma_server
from afterglow.bulk.chroma_client import ChromaConnection
from afterglow.bulk.endpoint import CollectionInfo, Endpoint
from afterglow.bulk.http_endpoint import HttpEndpoint
from afterglow.bulk.migrate import MigrationFilter, MigrationReport, move
from afterglow.bulk.open_endpoints import open_target
from afterglow.cli.bars import progress_bar
from afterglow.cli.failures import FAILED
from afterglow.errors import InvalidArgument, NotFound
from afterglow.settings import Settings, System

_DEFAULT_TENANT = "default_tenant"


def from_chroma(origin: str, url: str | None, path: Path | None, settings: Settings, wanted: MigrationFilter) -> None:
    """Moves what is wanted from the server or the directory `origin`, with a line for each collection.

    It goes to the server `url`, else the directory `path`, else (neither) the AWS account. Ends the program with 1
    where something differs. Raises InvalidArgument, NotFound, Unavailable, and what the sides refuse.
    """
    system = System()
    with _origin(origin, wanted, system) as source, open_target(url, path, settings, system) as target:
        moved = list(_shown(source, target, wanted))
    if not moved:
        raise NotFound(f"{origin} has no collection of the tenant, database and name given")
    differing = sum(bool(each.differences) for each in moved)
    records = sum(each.records for each in moved)
    sys.stdout.write(f"{len(moved)} collections, {records} records, {differing} with differences\n")
    if differing:
        raise SystemExit(FAILED)


def _shown(source: Endpoint, target: Endpoint, wanted: MigrationFilter) -> Iterator[MigrationReport]:
    tasks: dict[str, TaskID] = {}
    with progress_bar("records") as progress:

        def told(of: CollectionInfo, records: int, there: int) -> None:
            if of.id not in tasks:
                tasks[of.id] = progress.add_task(str(of))
            progress.update(tasks[of.id], total=records, completed=there)

        for each in move(source, target, wanted, told):
            sys.stdout.write("".join(f"{line}\n" for line in _lines(each)))
            sys.stdout.flush()
            yield each


def _lines(moved: MigrationReport) -> list[str]:
    before = f", {moved.before} of them before" if moved.before else ""
    verdict = "differs" if moved.differences else f"{moved.sampled} compared: equal"
    return [f"{moved.of}: {moved.records} records{before}; {verdict}", *(f"  {each}" for each in moved.differences)]


@contextmanager
def _origin(origin: str, wanted: MigrationFilter, system: System) -> Iterator[Endpoint]:
    if "://" in origin:
        # The wire cannot list tenants.
        with _connected(origin, [wanted.tenant or _DEFAULT_TENANT], system) as side:
            yield side
        return
    path = Path(origin)
    if not path.is_dir():
        raise InvalidArgument(f"{origin} is neither a url nor a directory")
    tenants = chroma_server.tenants(path)
    with chroma_server.served(path, system) as url, _connected(url, tenants or [_DEFAULT_TENANT], system) as side:
        yield side


@contextmanager
def _connected(url: str, tenants: list[str], system: System) -> Iterator[Endpoint]:
    with closing(ChromaConnection(url, system)) as connection:
        yield HttpEndpoint(connection, tenants)
