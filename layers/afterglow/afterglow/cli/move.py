"""`afterglow import --from-chroma`: everything of a genuine Chroma, or part of it, into a place of this one."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rich.progress import TaskID

from afterglow.bulk import chroma_server
from afterglow.bulk.chroma_client import Connection
from afterglow.bulk.endpoint import Described, Side
from afterglow.bulk.http_endpoint import Remote
from afterglow.bulk.migrate import Moved, Wanted, move
from afterglow.bulk.open_endpoints import writing
from afterglow.cli.bars import bar
from afterglow.cli.failures import FAILED
from afterglow.errors import InvalidArgument, NotFound
from afterglow.settings import Ambient, Settings

_DEFAULT_TENANT = "default_tenant"


def from_chroma(origin: str, url: str | None, path: Path | None, settings: Settings, wanted: Wanted) -> None:
    """Moves what is wanted from the server or the directory `origin`, with a line for each collection.

    It goes to the server `url`, else the directory `path`, else (neither) the AWS account. Ends the program with 1
    where something differs. Raises InvalidArgument, NotFound, Unavailable, and what the sides refuse.
    """
    ambient = Ambient()
    with _origin(origin, wanted, ambient) as source, writing(url, path, settings, ambient) as target:
        moved = list(_shown(source, target, wanted))
    if not moved:
        raise NotFound(f"{origin} has no collection of the tenant, database and name given")
    differing = sum(bool(each.differences) for each in moved)
    records = sum(each.records for each in moved)
    sys.stdout.write(f"{len(moved)} collections, {records} records, {differing} with differences\n")
    if differing:
        raise SystemExit(FAILED)


def _shown(source: Side, target: Side, wanted: Wanted) -> Iterator[Moved]:
    tasks: dict[str, TaskID] = {}
    with bar("records") as progress:

        def told(of: Described, records: int, there: int) -> None:
            if of.id not in tasks:
                tasks[of.id] = progress.add_task(str(of))
            progress.update(tasks[of.id], total=records, completed=there)

        for each in move(source, target, wanted, told):
            sys.stdout.write("".join(f"{line}\n" for line in _lines(each)))
            sys.stdout.flush()
            yield each


def _lines(moved: Moved) -> list[str]:
    before = f", {moved.before} of them before" if moved.before else ""
    verdict = "differs" if moved.differences else f"{moved.sampled} compared: equal"
    return [f"{moved.of}: {moved.records} records{before}; {verdict}", *(f"  {each}" for each in moved.differences)]


@contextmanager
def _origin(origin: str, wanted: Wanted, ambient: Ambient) -> Iterator[Side]:
    if "://" in origin:
        # The wire cannot list tenants.
        with _connected(origin, [wanted.tenant or _DEFAULT_TENANT], ambient) as side:
            yield side
        return
    path = Path(origin)
    if not path.is_dir():
        raise InvalidArgument(f"{origin} is neither a url nor a directory")
    tenants = chroma_server.tenants(path)
    with chroma_server.served(path, ambient) as url, _connected(url, tenants or [_DEFAULT_TENANT], ambient) as side:
        yield side


@contextmanager
def _connected(url: str, tenants: list[str], ambient: Ambient) -> Iterator[Side]:
    with closing(Connection(url, ambient)) as connection:
        yield Remote(connection, tenants)
