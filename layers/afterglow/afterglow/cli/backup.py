"""`afterglow backup`, `restore`, `dump` and `load`.

A backup copies a whole data directory. A restore brings one collection back from the deployment's own history. A dump
copies one database, to a directory or S3, and can be loaded into any other deployment.
"""

import argparse
from datetime import UTC, datetime

from afterglow.cli import options
from afterglow.cli.console import EXIT_USAGE, echo, exit_with
from afterglow.settings import System

_MAX_BACKUPS = 10_000


def add_backup_options(parser: argparse.ArgumentParser) -> None:
    """The options of `backup`."""
    parser.add_argument(
        "--to",
        type=options.parse_path,
        required=True,
        metavar="FOLDER",
        help="Folder of the backups. Each backup is a data directory in it, named by its UTC time; files that did not "
        "change since the previous backup are hard links.",
    )
    options.add_directory(parser)
    parser.add_argument(
        "--keep",
        type=options.int_between(1, _MAX_BACKUPS),
        metavar="N",
        help="Retain only the N newest backups of the folder. Default: all.",
    )


def backup(args: argparse.Namespace) -> None:
    """Back up a data directory into a new folder; servers can keep running."""
    from afterglow.deployment.directory_backup import backup as back_up
    from afterglow.deployment.local import open_local, require_data_directory

    system = System()
    path = options.directory(args, options.load_settings(aws=False))
    directory = open_local(require_data_directory(path), system)
    try:
        report = back_up(directory, args.to, system, keep=args.keep)
    finally:
        directory.table.close()
    echo(f"{report.path}: {report.objects} objects, {report.new} of them new")
    for removed in report.removed:
        echo(f"{removed}: deleted")


def add_restore_options(parser: argparse.ArgumentParser) -> None:
    """The options of `restore`."""
    parser.add_argument("collection", nargs="?", help="Name or id of an existing or a dropped collection.")
    parser.add_argument(
        "--at",
        metavar="TIME_OR_POSITION",
        help="Point in time: a UTC time such as 2026-01-31T12:00:00Z, or a log position. Without it, a dropped "
        "collection is restored as it was when it was dropped.",
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--name",
        help="Name of the restored collection. Without it, a dropped collection gets its old name, and a copy of an "
        "existing collection gets that collection's name and the current time.",
    )
    group.add_argument("--replace", action="store_true", help="Replace the existing collection, which is dropped.")
    parser.add_argument("--list", action="store_true", help="List the dropped collections that can be restored.")
    options.add_deployment(parser)
    options.add_database(parser)


def restore(args: argparse.Namespace) -> None:
    """Restore a collection as of an earlier point in time, or a dropped collection."""
    if args.list == (args.collection is not None):
        exit_with("restore needs either a COLLECTION or --list", EXIT_USAGE)
    if args.list:
        _list_dropped(args)
    else:
        _restore_collection(args)


def _list_dropped(args: argparse.Namespace) -> None:
    from afterglow.catalog import Catalog
    from afterglow.jobs.restore import restorable

    with options.open_existing(args, notify=True) as stores:
        database = Catalog(stores.table, stores.system).get_database(args.tenant, args.database)
        dropped = list(restorable(stores, database))
    for item in dropped:
        times = f"dropped {_format_time(item.dropped_at)}, restorable until {_format_time(item.until)}"
        echo(f"{item.collection.name}  {item.collection.id}  {times}")
    if not dropped:
        echo("no dropped collections to restore")


def _restore_collection(args: argparse.Namespace) -> None:
    from afterglow.api.http import request_params
    from afterglow.catalog import Catalog, names
    from afterglow.collection.replica.replica import Replica
    from afterglow.jobs import restore as jobs

    as_of = None if args.at is None else request_params.parse_point_in_time(args.at)
    if args.name is not None:
        names.validate_collection_name(args.name)
    with options.open_existing(args, notify=True) as stores:
        database = Catalog(stores.table, stores.system).get_database(args.tenant, args.database)
        source = jobs.find(stores, database, args.collection)
        restored = jobs.restore(stores, source, as_of, args.name, replace=args.replace)
        records = Replica(stores, restored.id).snapshot().records
    echo(f"{restored.name}: {records} records as of log position {restored.fork_position}, collection {restored.id}")


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def add_dump_options(parser: argparse.ArgumentParser) -> None:
    """The options of `dump`."""
    parser.add_argument("database", help="Name of the database.")
    parser.add_argument(
        "target",
        type=options.parse_location,
        help="Directory, or s3://bucket/prefix. A dump of the same database that is already there is updated: only "
        "what changed is copied.",
    )
    parser.add_argument("--tenant", default=options.DEFAULT_TENANT, help="Tenant of the database.")
    options.add_deployment(parser)


def dump(args: argparse.Namespace) -> None:
    """Copy one database to a directory or an S3 prefix; servers can keep running."""
    from afterglow.bulk.dump.create import create_dump
    from afterglow.bulk.dump.layout import DumpStore
    from afterglow.catalog import Catalog
    from afterglow.cli.progress import progress_bar
    from afterglow.deployment.backup_target import open_backup_target

    with options.open_existing(args) as stores:
        database = Catalog(stores.table, stores.system).get_database(args.tenant, args.database)
        with progress_bar("bytes") as progress:
            task = progress.add_task(f"dumping {args.database}", total=None)
            target = open_backup_target(args.target, stores.settings, stores.system, create=True)
            dump_store = DumpStore(*target, args.target)
            report = create_dump(stores, database, dump_store, lambda _, size: progress.advance(task, size))
    deleted = f"; {report.removed} unused objects deleted" if report.removed else ""
    echo(
        f"{args.target}: {report.collections} collections, {report.objects} objects, {report.new} of them new "
        f"({report.size / 1e6:.1f} MB){deleted}"
    )


def add_load_options(parser: argparse.ArgumentParser) -> None:
    """The options of `load`."""
    parser.add_argument(
        "source", type=options.parse_location, help="Directory, or s3://bucket/prefix, that `dump` wrote to."
    )
    options.add_deployment(parser, options.NEW_DIRECTORY)
    parser.add_argument("--tenant", help="Tenant to load into. Without it, the tenant of the dump.")
    parser.add_argument("--database", help="Database to load into. Without it, the database of the dump.")


def load(args: argparse.Namespace) -> None:
    """Load a dumped database into this deployment. Run again, it continues an interrupted load."""
    from afterglow.bulk.dump import layout
    from afterglow.bulk.dump.layout import DumpStore
    from afterglow.bulk.dump.load import load_dump
    from afterglow.cli.progress import progress_bar
    from afterglow.deployment.backup_target import open_backup_target
    from afterglow.deployment.open import open_stores

    system, settings = System(), options.load_settings(aws=args.aws)
    dump_store = DumpStore(*open_backup_target(args.source, settings, system, create=False), args.source)
    dumped = layout.read(dump_store)
    tenant, database = args.tenant or dumped.tenant, args.database or dumped.database
    path = options.data_path(args, settings)
    with open_stores(path, settings, system, notify=True) as stores, progress_bar("bytes") as progress:
        task = progress.add_task(f"loading {database}", total=sum(item.size for item in dumped.collections))
        report = load_dump(stores, dump_store, tenant, database, lambda _, size: progress.advance(task, size))
    earlier = f"; {report.already_present} were already loaded" if report.already_present else ""
    echo(f"{tenant}/{database}: {report.loaded} collections loaded, {report.size / 1e6:.1f} MB{earlier}")
