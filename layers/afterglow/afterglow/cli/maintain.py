"""`afterglow compact` and `afterglow verify`: maintenance of a data directory or an AWS account, servers may run."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from afterglow.cli import options
from afterglow.cli.console import EXIT_FAILED, echo
from afterglow.errors import NotFound
from afterglow.settings import System

if TYPE_CHECKING:
    from afterglow.jobs.verify import NamedCollection, VerifyReport
    from afterglow.storage.ports import Stores, Table


def add_collection_options(parser: argparse.ArgumentParser) -> None:
    """The options of both commands: one collection, or every collection."""
    parser.add_argument(
        "collection", nargs="?", help="Name or id of a collection. Without it, every collection of every database."
    )
    options.add_deployment(parser)
    options.add_database(parser)


def compact(args: argparse.Namespace) -> None:
    """Flush the log, compact segments and delete unused objects now, instead of in the background."""
    from afterglow.deployment.base import NullQueue
    from afterglow.deployment.open import open_deployment
    from afterglow.jobs.start import compact_all

    system = System()
    path = options.existing_data_path(args)
    settings = options.load_settings(aws=args.aws)
    deployment = open_deployment(path, settings, system)
    table = deployment.stores(settings, system, NullQueue()).table
    try:
        collection = None if args.collection is None else _find_id(table, system, args)
        for report in compact_all(deployment, settings, system, collection):
            echo(
                f"{report.collection}: {report.flushed_ops} operations flushed, {report.compactions} compactions, "
                f"{report.collected} objects deleted"
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
        raise _not_found(args)
    return collection.id


def verify(args: argparse.Namespace) -> None:
    """Check stored data for missing, corrupt or inconsistent objects. Exit code 1 if any is found."""
    from afterglow.jobs.verify import all_collections

    with options.open_existing(args) as stores:
        collections = list(all_collections(stores)) if args.collection is None else [_find(stores, args)]
        reports = list(_verify_all(stores, collections))
    if any(report.problems for report in reports):
        raise SystemExit(EXIT_FAILED)


def _verify_all(stores: "Stores", collections: "list[NamedCollection]") -> "Iterator[VerifyReport]":
    """Verifies and prints one collection after another; skips those dropped meanwhile."""
    from afterglow.cli.progress import read_bar
    from afterglow.jobs.verify import verify as verify_collection

    with read_bar() as progress:
        for collection in collections:
            task = progress.add_task(str(collection), total=None)
            report = verify_collection(stores, collection, lambda size, task=task: progress.advance(task, size))  # type: ignore[misc]
            progress.remove_task(task)
            if report is not None:
                _print(report)
                yield report


def _print(report: "VerifyReport") -> None:
    verdict = "damaged" if report.problems else "ok"
    echo(
        f"{report.target}: {report.records} records, {report.segments} segments, {report.byte_size / 1e6:.1f} MB, "
        f"{report.log_entries} log entries: {verdict}"
    )
    for problem in report.problems:
        echo(f"  {problem}")
    for note in report.notes:
        echo(f"  note: {note}")


def _find(stores: "Stores", args: argparse.Namespace) -> "NamedCollection":
    from afterglow.jobs.verify import all_collections

    for collection in all_collections(stores):
        is_in_database = (collection.database.tenant, collection.database.name) == (args.tenant, args.database)
        has_name = is_in_database and collection.name == args.collection
        if has_name or str(collection.collection) == args.collection:
            return collection
    raise _not_found(args)


def _not_found(args: argparse.Namespace) -> NotFound:
    return NotFound(f"no collection {args.collection!r} in database {args.database!r} of tenant {args.tenant!r}")
