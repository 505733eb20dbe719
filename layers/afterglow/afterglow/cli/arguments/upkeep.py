"""What keeps data well: `compact`, `verify`, `backup` and `restore`."""

import argparse
from pathlib import Path

from afterglow.cli.arguments import shared
from afterglow.cli.failures import MISUSED, exit_with, settings


def compact(given: argparse.Namespace) -> None:
    """Index what is not indexed yet and give the space of deleted records back, now instead of in the background."""
    from afterglow.cli.compact import compact

    compact(shared.where(given), settings(aws=given.aws), given.collection, given.tenant, given.database)


def verify(given: argparse.Namespace) -> None:
    """Look whether everything that is stored is there, whole and in agreement; exits with 1 where it is not."""
    from afterglow.cli.verify import verify

    verify(shared.where(given), settings(aws=given.aws), given.collection, given.tenant, given.database)


def backup(given: argparse.Namespace) -> None:
    """Copy a data directory, also one in use, into a new folder; or, with --database and --to, a database anywhere."""
    from afterglow.cli.backup import backup, backup_database

    if given.to is not None and given.database is not None and given.into is None:
        backup_database(shared.where(given), settings(aws=given.aws), given.tenant, given.database, given.to)
    elif given.into is not None and given.to is None and given.database is None and not given.aws:
        backup(given.path.absolute(), given.into, given.keep)
    else:
        exit_with("a backup takes a folder for a data directory, or --database with --to for one database", MISUSED)


def backup_arguments(sub: argparse.ArgumentParser) -> None:
    """What `backup` takes."""
    sub.add_argument(
        "into",
        type=Path,
        nargs="?",
        default=argparse.SUPPRESS,
        help="Folder of the backups of a whole directory; each is one in it, with the time as its name. What did not "
        "change is linked to the one before.",
    )
    shared.place(sub, "Directory that holds the data.")
    sub.add_argument(
        "--keep",
        type=shared.between(1, 10_000),
        default=argparse.SUPPRESS,
        help="Backups to keep in the folder: older ones are removed; all are kept without it.",
    )
    sub.add_argument("--database", default=argparse.SUPPRESS, help="Database to copy, alone.")
    sub.add_argument("--tenant", default="default_tenant", help="Tenant of the database.")
    sub.add_argument(
        "--to",
        default=argparse.SUPPRESS,
        help="Directory or s3://bucket/prefix for the copy of a database; a copy that is there is brought up to date.",
    )
    sub.set_defaults(into=None, keep=None, database=None, to=None)


def restore(given: argparse.Namespace) -> None:
    """Bring a collection back as it was at a moment, also a dropped one; or, with --from, a database from its copy."""
    from afterglow.cli.restore import list_dropped, restore_collection, restore_database

    where, chosen = shared.where(given), settings(aws=given.aws)
    if given.origin is not None and given.collection is None and given.at is None and given.name is None:
        restore_database(where, chosen, given.origin, given.tenant, given.database)
        return
    home = given.tenant or "default_tenant", given.database or "default_database"
    if given.collection is not None and given.origin is None and not (given.name and given.replace):
        restore_collection(where, chosen, home, given.collection, at=given.at, name=given.name, replace=given.replace)
    elif given.list:
        list_dropped(where, chosen, home)
    else:
        exit_with("say a collection, perhaps --at and --as or --replace; or --list; or --from a copy", MISUSED)


def restore_arguments(sub: argparse.ArgumentParser) -> None:
    """What `restore` takes."""
    sub.add_argument(
        "collection",
        nargs="?",
        default=argparse.SUPPRESS,
        help="Name or id of a collection, dropped ones too.",
    )
    sub.add_argument(
        "--at",
        default=argparse.SUPPRESS,
        help="As of when: a time like 2026-01-31T12:00:00Z (UTC), or a log position; a dropped collection's end without"
        " it.",
    )
    sub.add_argument("--as", dest="name", default=argparse.SUPPRESS, help="Name of the collection that is made.")
    sub.add_argument("--replace", action="store_true", help="Put it in the place of the collection that is there.")
    sub.add_argument("--list", action="store_true", help="List the dropped collections that can be restored.")
    sub.add_argument(
        "--from",
        dest="origin",
        default=argparse.SUPPRESS,
        help="Directory or s3://bucket/prefix that `backup --to` copied to.",
    )
    shared.place(sub, "Directory that holds the data.")
    sub.add_argument(
        "--database", default=argparse.SUPPRESS, help="Database; of a copy, its own without it, else default_database."
    )
    sub.add_argument(
        "--tenant", default=argparse.SUPPRESS, help="Tenant; of a copy, its own without it, else default_tenant."
    )
    sub.set_defaults(collection=None, at=None, name=None, origin=None, database=None, tenant=None)
