"""`afterglow erase` and `erasures`: records that must not be anywhere any more, and the reports of it."""

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from afterglow.cli import options
from afterglow.cli.console import EXIT_USAGE, echo, exit_with
from afterglow.errors import LimitExceeded, NotFound
from afterglow.settings import System

if TYPE_CHECKING:
    from afterglow.catalog.erasures import Erasure
    from afterglow.collection import Engine
    from afterglow.collection.types import Scope
    from afterglow.filters.ast import Filter

_IDS_AT_ONCE = 1_000


def add_erase_options(parser: argparse.ArgumentParser) -> None:
    """The options of `erase`."""
    parser.add_argument("collection", help="Name of the collection.")
    parser.add_argument("ids", nargs="*", metavar="ID", help="Record to erase.")
    parser.add_argument("--where", metavar="JSON", help="Erase the records that match, such as '{\"user\": 17}'.")
    parser.add_argument("--yes", action="store_true", help="Confirm that the past of the collection is erased as well.")
    options.add_deployment(parser)
    options.add_database(parser)


def erase(args: argparse.Namespace) -> None:
    """Delete records from everything stored by a deadline, also from past states and from forks."""
    from afterglow.catalog import Catalog, collections, erasures
    from afterglow.collection import Engine
    from afterglow.collection.types import Scope
    from afterglow.collection.write import erasure as requests
    from afterglow.filters.parse import parse_where

    if not args.ids and args.where is None:
        exit_with("erase needs ids or --where", EXIT_USAGE)
    if not args.yes:
        exit_with("erase asks for --yes: it also erases the past of the collection and of its forks", EXIT_USAGE)
    where = None if args.where is None else parse_where(options.parse_where_option(args.where))
    if where is None and not args.ids:
        exit_with("--where must have a condition", EXIT_USAGE)
    with options.open_existing(args, notify=True) as stores:
        database = Catalog(stores.table, System()).get_database(args.tenant, args.database)
        collection = collections.by_name(stores.table, database, args.collection)
        if collection is None:
            raise options.collection_not_found(args)
        for pending in erasures.list_all(stores.table):
            # Its process ended before all forks were without the records, which no filter finds here any more.
            if pending.members is None:
                requests.begin(stores, pending)
                echo(f"erasure {pending.id} was interrupted and continues")
        scope = Scope(args.tenant, args.database, collection.id)
        erased = 0
        for count, started in _erase_selected(Engine(stores), scope, args.ids, where):
            erased += count
            what = "1 id" if count == 1 else f"{count} ids"
            echo(f"erasure {started.id}: {what} deleted, erased by {_time(started.deadline)}")
        if not erased:
            echo("no record is selected: nothing is erased")


def _erase_selected(
    engine: "Engine", scope: "Scope", ids: Sequence[str], where: "Filter | None"
) -> "Iterator[tuple[int, Erasure]]":
    """Erase all that is selected, as many records at once as an erasure takes; yields the number of each erasure."""
    from afterglow.collection.types import Selection

    start, size = 0, _IDS_AT_ONCE
    while not ids or start < len(ids):
        selection = Selection(list(ids[start : start + size]) if ids else None, where)
        try:
            count, started = engine.erase(scope, selection, None if where is None else size)
        except LimitExceeded:
            if size == 1:
                raise
            size //= 2
            continue
        if started is not None:
            yield count.count, started
        elif not ids:
            break
        start += size


def add_erasures_options(parser: argparse.ArgumentParser) -> None:
    """The options of `erasures`."""
    parser.add_argument("id", nargs="?", help="Show the objects of this erasure, too.")
    parser.add_argument(
        "--delete-versions",
        action="store_true",
        help="In an AWS account: of the collections of a finished erasure, delete the noncurrent versions of all "
        "objects that were deleted before it ended. `recover` then cannot restore earlier states of these collections.",
    )
    options.add_deployment(parser)


def list_erasures(args: argparse.Namespace) -> None:
    """Show the progress of erasures, and the objects that they deleted."""
    from afterglow.catalog import erasures

    if args.delete_versions and not args.aws:
        exit_with("--delete-versions needs --aws: a directory has no versions", EXIT_USAGE)
    with options.open_existing(args) as stores:
        found = erasures.list_all(stores.table)
        if args.id is not None and args.id not in map(str, (erasure.id for erasure in found)):
            raise NotFound(f"no erasure has the id {args.id!r}; `afterglow erasures` lists all")
        if not found:
            echo("no erasure was requested")
        for erasure in found:
            if args.id in (None, str(erasure.id)):
                until = f"due {_time(erasure.deadline)}"
                if erasure.finished_at is not None:
                    until = f"finished {_time(erasure.finished_at)}"
                echo(
                    f"{erasure.id}: {erasure.records} records of collection {erasure.collection}, requested "
                    f"{_time(erasure.requested_at)}, {erasure.state}, {until}, {len(erasure.objects or ())} objects"
                )
                for key in erasure.objects or () if args.id is not None else ():
                    echo(f"  {key}")
                if args.delete_versions and erasure.finished_at is not None:
                    echo(f"  {_delete_versions(erasure, erasure.finished_at)} old versions deleted")


def _delete_versions(erasure: "Erasure", until: float) -> int:
    from afterglow.deployment.open import delete_old_versions

    settings = options.load_settings(aws=True)
    return sum(delete_old_versions(settings, System(), f"{member}/", until) for member in erasure.members or ())


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
