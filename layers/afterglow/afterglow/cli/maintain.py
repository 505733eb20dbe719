"""`afterglow compact`, `verify` and `repair`: maintenance of a data directory or an AWS account, servers may run."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from afterglow.cli import options
from afterglow.cli.console import EXIT_FAILED, echo
from afterglow.errors import Corrupt, NotFound
from afterglow.settings import System

if TYPE_CHECKING:
    from afterglow.deployment.base import Deployment
    from afterglow.jobs.every_collection import NamedCollection
    from afterglow.jobs.restore import DroppedCollection
    from afterglow.jobs.verify import VerifyReport
    from afterglow.storage.ports import Stores, Table


def add_collection_options(parser: argparse.ArgumentParser) -> None:
    """The options of both commands: one collection, or every collection."""
    parser.add_argument(
        "collection", nargs="?", help="Name or id of a collection. Without it, every collection of every database."
    )
    options.add_deployment(parser)
    options.add_database(parser)


def add_compact_options(parser: argparse.ArgumentParser) -> None:
    """The options of `compact`."""
    add_collection_options(parser)
    parser.add_argument(
        "--forget",
        action="store_true",
        help="Then delete the past states of the collections: they can no longer be read or restored.",
    )


def compact(args: argparse.Namespace) -> None:
    """Flush the log, compact segments and delete unused objects now. Shows the size of past states."""
    from afterglow.deployment.base import NullQueue
    from afterglow.deployment.open import open_deployment
    from afterglow.jobs import past
    from afterglow.jobs.start import compact_all

    system = System()
    settings = options.load_settings(aws=args.aws)
    path = options.existing_data_path(args, settings)
    deployment = open_deployment(path, settings, system)
    stores = deployment.stores(settings, system, NullQueue())
    table = stores.table
    try:
        collection = None if args.collection is None else _find_id(table, system, args)
        for report in compact_all(deployment, settings, system, collection, forget_past=args.forget):
            extent = past.extent_of(stores, report.collection)
            sizes = "" if extent is None else f", {extent.present / 1e6:.1f} MB, its past {extent.past / 1e6:.1f} MB"
            echo(
                f"{report.collection}: {report.flushed_ops} operations flushed, {report.compactions} compactions, "
                f"{report.collected} objects deleted{sizes}"
            )
    finally:
        table.close()


def _find_id(table: "Table", system: System, args: argparse.Namespace) -> UUID:
    from afterglow.catalog import Catalog, collections

    database = Catalog(table, system).get_database(args.tenant, args.database)
    collection = collections.by_name(table, database, args.collection)
    if collection is None:
        try:
            collection = collections.by_id(table, UUID(args.collection))
        except ValueError:
            pass
    if collection is None:
        raise options.collection_not_found(args)
    return collection.id


def verify(args: argparse.Namespace) -> None:
    """Check stored data for missing, corrupt or inconsistent objects. Exit code 1 if any is found. Changes nothing."""
    from afterglow.jobs import erasure
    from afterglow.jobs.every_collection import all_collections, all_dropped

    damage: list[str] = []
    with _open_read_only(args) as (stores, deployment):
        damage += deployment.problems()
        damage += erasure.problems(stores)
        if args.collection is None:
            collections = list(all_collections(stores, lambda error: damage.append(error.message)))
            dropped = list(all_dropped(stores, lambda error: damage.append(error.message)))
        else:
            collections, dropped = [_find(stores, args)], []
        for problem in dict.fromkeys(damage):
            echo(problem)
        reports = list(_verify_all(stores, collections, dropped))
    if not reports and not damage:
        echo("no collections")
    damaged = sum(bool(report.problems) for report in reports)
    if damaged:
        echo(f"{damaged} damaged; they take no writes; `afterglow repair` shows what can be saved")
    if damage or damaged or any(report.past_problems for report in reports):
        raise SystemExit(EXIT_FAILED)


@contextmanager
def _open_read_only(args: argparse.Namespace) -> "Iterator[tuple[Stores, Deployment]]":
    from afterglow.deployment.base import NullQueue
    from afterglow.deployment.open import open_deployment

    system, settings = System(), options.load_settings(aws=args.aws)
    deployment = open_deployment(options.existing_data_path(args, settings), settings, system, read_only=True)
    stores = deployment.stores(settings, system, NullQueue())
    try:
        yield stores, deployment
    finally:
        stores.table.close()


def _verify_all(
    stores: "Stores", collections: "list[NamedCollection]", dropped: "Sequence[DroppedCollection]" = ()
) -> "Iterator[VerifyReport]":
    """Verifies and prints one collection after another; skips those dropped meanwhile."""
    from afterglow.cli.progress import read_bar
    from afterglow.jobs.verify import verify as verify_collection
    from afterglow.jobs.verify import verify_dropped

    checks: list[tuple[str, Callable[[Callable[[int], None]], VerifyReport | None]]] = [
        *((str(target), partial(verify_collection, stores, target)) for target in collections),
        *((target.collection.name, partial(verify_dropped, stores, target)) for target in dropped),
    ]
    with read_bar() as progress:
        for name, check in checks:
            task = progress.add_task(name, total=None)
            report = check(partial(progress.advance, task))
            progress.remove_task(task)
            if report is not None:
                _print(report)
                yield report


def _print(report: "VerifyReport") -> None:
    verdict = "damaged" if report.problems else "its past is damaged" if report.past_problems else "ok"
    if report.is_dropped:
        verdict = "dropped, damaged" if report.notes else "dropped, ok"
    echo(
        f"{report.target}: {report.records} records, {report.segments} segments, {report.byte_size / 1e6:.1f} MB, "
        f"{report.log_entries} log entries: {verdict}"
    )
    for problem in [*report.problems, *report.past_problems]:
        echo(f"  {problem}")
    for note in report.notes:
        echo(f"  note: {note}")


def add_repair_options(parser: argparse.ArgumentParser) -> None:
    """The options of `repair`."""
    add_collection_options(parser)
    parser.add_argument("--yes", action="store_true", help="Repair. Without it, only show what would be lost.")


def repair(args: argparse.Namespace) -> None:
    """Repair collections that cannot be opened, to the last intact state. Shows the loss, and repairs with --yes."""
    from afterglow.jobs.every_collection import all_collections
    from afterglow.jobs.repair import plan_repair
    from afterglow.jobs.repair import repair as repair_collection
    from afterglow.jobs.verify import verify as verify_collection

    unrepaired, found = 0, 0
    with options.open_existing(args, notify=True) if args.yes else _open_to_read(args) as stores:
        ignored: list[str] = []
        targets = (
            list(all_collections(stores, lambda error: ignored.append(error.message)))
            if args.collection is None
            else [_find(stores, args)]
        )
        for target in targets:
            report = verify_collection(stores, target)
            if report is None or not report.problems:
                continue
            found += 1
            echo(f"{target}: damaged")
            for problem in report.problems:
                echo(f"  {problem}")
            try:
                plan = plan_repair(stores, target)
                echo(
                    f"  can be saved: everything up to log entry {plan.position}, of {plan.log_time:%Y-%m-%dT%H:%M:%SZ}"
                )
                for loss in plan.losses or ("nothing",):
                    echo(f"  lost: {loss}")
                if args.yes:
                    result = repair_collection(stores, plan)
                    echo(f"  repaired: {result.records} records, collection {result.collection.id}")
                    continue
            except (Corrupt, NotFound) as error:
                echo(f"  cannot be repaired: {error.message}")
            unrepaired += 1
    if not found:
        echo("no collection needs repair")
    elif unrepaired and not args.yes:
        echo("nothing was changed; --yes repairs")
    if unrepaired:
        raise SystemExit(EXIT_FAILED)


@contextmanager
def _open_to_read(args: argparse.Namespace) -> "Iterator[Stores]":
    with _open_read_only(args) as (stores, _):
        yield stores


def _find(stores: "Stores", args: argparse.Namespace) -> "NamedCollection":
    from afterglow.jobs.every_collection import all_collections

    for collection in all_collections(stores):
        is_in_database = (collection.database.tenant, collection.database.name) == (args.tenant, args.database)
        has_name = is_in_database and collection.name == args.collection
        if has_name or str(collection.collection) == args.collection:
            return collection
    raise options.collection_not_found(args)
