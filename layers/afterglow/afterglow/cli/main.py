"""The `afterglow` command. Each command imports what it needs when it runs, so that `--help` answers at once.

argparse, because a server that starts on demand pays for every import: see docs/decisions.md.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from afterglow import __version__
from afterglow.cli.failures import MISUSED, give_up, one_line, settings

_MOST_WORKERS = 64


def main() -> None:
    """The program: runs the command that the arguments name."""
    given = parser().parse_args()
    with one_line():
        given.command(given)


def parser() -> argparse.ArgumentParser:
    """The arguments of the program and of its commands."""
    top = argparse.ArgumentParser(
        prog="afterglow", description="A vector database that speaks the Chroma API.", allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"afterglow {__version__}", help="show it and exit")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command, add_arguments in (
        ("run", _run, _run_arguments),
        ("compact", _compact, _compact_arguments),
        ("backup", _backup, _backup_arguments),
        ("restore", _restore, _restore_arguments),
        ("import", _import, _import_arguments),
        ("export", _export, _export_arguments),
        ("verify", _verify, _verify_arguments),
        ("demo", _demo, _demo_arguments),
    ):
        _add(commands, name, command, add_arguments)
    text = "See how imports went: those of the command, of a watched directory, and of a deployment's bucket."
    imports = commands.add_parser("imports", help=text, description=text, allow_abbrev=False)
    actions = imports.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(actions, "list", _imports_list, _collection_place)
    _add(actions, "show", _imports_show, _imports_show_arguments)
    text = "Make, list and revoke the API keys that a server with AFTERGLOW_AUTH=keys asks for."
    keys = commands.add_parser("keys", help=text, description=text, allow_abbrev=False)
    actions = keys.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(actions, "create", _keys_create, _keys_create_arguments)
    _add(actions, "list", _keys_list, _keys_place)
    _add(actions, "revoke", _keys_revoke, _keys_revoke_arguments)
    return top


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    command: Callable[[argparse.Namespace], None],
    add_arguments: Callable[[argparse.ArgumentParser], None],
) -> None:
    text = (command.__doc__ or "").strip()
    sub = commands.add_parser(
        name,
        help=text,
        description=text,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_arguments(sub)
    sub.set_defaults(command=command)


def _run(given: argparse.Namespace) -> None:
    """Serve the Chroma API from one directory, or from an AWS account, until Ctrl-C."""
    from afterglow.cli.run import run

    where = None if given.aws else given.path
    run(where, given.host, given.port, workers=given.workers, allow_reset=given.allow_reset)


def _run_arguments(sub: argparse.ArgumentParser) -> None:
    _place(sub, "Directory that holds the data; made if it is not there.")
    sub.add_argument(
        "--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 for every network of this machine."
    )
    sub.add_argument("--port", type=_between(0, 65535), default=8000, help="Port to listen on; 0 takes a free one.")
    sub.add_argument(
        "--workers",
        type=_between(1, _MOST_WORKERS),
        default=1,
        help="Processes that serve; one per core is plenty.",
    )
    sub.add_argument(
        "--allow-reset",
        action="store_true",
        default=argparse.SUPPRESS,
        help="Let clients delete everything by the reset call.",
    )
    sub.set_defaults(allow_reset=False)


def _compact(given: argparse.Namespace) -> None:
    """Index what is not indexed yet and give the space of deleted records back, now instead of in the background."""
    from afterglow.cli.compact import compact

    compact(_where(given), settings(aws=given.aws), given.collection, given.tenant, given.database)


def _compact_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "collection",
        nargs="?",
        default=argparse.SUPPRESS,
        help="Name or id of one collection; all of them without it.",
    )
    sub.set_defaults(collection=None)
    _place(sub, "Directory that holds the data.")
    sub.add_argument("--tenant", default="default_tenant", help="Tenant of the collection named.")
    sub.add_argument("--database", default="default_database", help="Database of the collection named.")


def _backup(given: argparse.Namespace) -> None:
    """Copy a data directory, also one in use, into a new folder; or, with --database and --to, a database anywhere."""
    from afterglow.cli.backup import backup, backup_database

    if given.to is not None and given.database is not None and given.into is None:
        backup_database(_where(given), settings(aws=given.aws), given.tenant, given.database, given.to)
    elif given.into is not None and given.to is None and given.database is None and not given.aws:
        backup(given.path.absolute(), given.into, given.keep)
    else:
        give_up("a backup takes a folder for a data directory, or --database with --to for one database", MISUSED)


def _backup_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "into",
        type=Path,
        nargs="?",
        default=argparse.SUPPRESS,
        help="Folder of the backups of a whole directory; each is one in it, with the time as its name. What did not "
        "change is linked to the one before.",
    )
    _place(sub, "Directory that holds the data.")
    sub.add_argument(
        "--keep",
        type=_between(1, 10_000),
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


def _restore(given: argparse.Namespace) -> None:
    """Bring a collection back as it was at a moment, also a dropped one; or, with --from, a database from its copy."""
    from afterglow.cli.restore import list_dropped, restore_collection, restore_database

    where, chosen = _where(given), settings(aws=given.aws)
    if given.origin is not None and given.collection is None and given.at is None and given.name is None:
        restore_database(where, chosen, given.origin, given.tenant, given.database)
        return
    home = given.tenant or "default_tenant", given.database or "default_database"
    if given.collection is not None and given.origin is None and not (given.name and given.replace):
        restore_collection(where, chosen, home, given.collection, at=given.at, name=given.name, replace=given.replace)
    elif given.list:
        list_dropped(where, chosen, home)
    else:
        give_up("say a collection, perhaps --at and --as or --replace; or --list; or --from a copy", MISUSED)


def _restore_arguments(sub: argparse.ArgumentParser) -> None:
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
    _place(sub, "Directory that holds the data.")
    sub.add_argument(
        "--database", default=argparse.SUPPRESS, help="Database; of a copy, its own without it, else default_database."
    )
    sub.add_argument(
        "--tenant", default=argparse.SUPPRESS, help="Tenant; of a copy, its own without it, else default_tenant."
    )
    sub.set_defaults(collection=None, at=None, name=None, origin=None, database=None, tenant=None)


def _import(given: argparse.Namespace) -> None:
    """Import files (JSON Lines, CSV, Parquet), or all of a genuine Chroma; run again, it goes on where it was."""
    if given.from_chroma is not None:
        _import_from_chroma(given)
        return
    from afterglow.cli import imports
    from afterglow.imports.model import Target

    if not given.files or given.collection is None:
        give_up("an import takes files and --collection, or --from-chroma", MISUSED)
    wanted = imports.Wanted(
        files=given.files,
        target=Target(given.tenant or "default_tenant", given.database or "default_database", given.collection),
        sidecar=given.sidecar,
        space=given.space,
        again=given.again,
    )
    imports.run(given.url, _where(given), settings(aws=given.aws), wanted)


def _import_from_chroma(given: argparse.Namespace) -> None:
    from afterglow.cli.move import from_chroma
    from afterglow.moving.chroma import Wanted

    if given.files or given.sidecar is not None or given.space is not None or given.again:
        give_up("--from-chroma takes no files, --sidecar, --space or --again", MISUSED)
    wanted = Wanted(given.tenant, given.database, given.collection)
    from_chroma(given.from_chroma, given.url, _where(given), settings(aws=given.aws), wanted)


def _import_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="File, directory of files, or s3://bucket/prefix.",
    )
    sub.add_argument(
        "--from-chroma",
        metavar="URL_OR_DIRECTORY",
        default=argparse.SUPPRESS,
        help="Instead of files: a genuine Chroma, all of it or of the tenant, database and collection given.",
    )
    sub.add_argument(
        "--collection", default=argparse.SUPPRESS, help="Name of the collection; made where there is none."
    )
    _server_or_place(sub)
    sub.add_argument(
        "--tenant", default=argparse.SUPPRESS, help="Tenant of the collection; default_tenant for files without it."
    )
    sub.add_argument(
        "--database",
        default=argparse.SUPPRESS,
        help="Database of the collection; default_database for files without it.",
    )
    sub.add_argument(
        "--sidecar",
        type=Path,
        default=argparse.SUPPRESS,
        help="What the columns are, in a file; without it FILE.import.json beside the file.",
    )
    sub.add_argument(
        "--space",
        choices=["l2", "ip", "cosine"],
        default=argparse.SUPPRESS,
        help="Distance of the collection, where it is made.",
    )
    sub.add_argument(
        "--again",
        action="store_true",
        default=argparse.SUPPRESS,
        help="Import anew a file that was imported before and did not change.",
    )
    unsaid = dict.fromkeys(("from_chroma", "collection", "tenant", "database", "sidecar", "space"))
    sub.set_defaults(files=[], again=False, **unsaid)


def _imports_list(given: argparse.Namespace) -> None:
    """Print every import of a database, the one last begun first."""
    from afterglow.cli import imports

    imports.show_list(given.url, _where(given), settings(aws=given.aws), (given.tenant, given.database))


def _imports_show(given: argparse.Namespace) -> None:
    """Print how an import ended, or how far it is, and every row that was rejected, with the reason."""
    from afterglow.cli import imports

    imports.show(given.url, _where(given), settings(aws=given.aws), (given.tenant, given.database), given.id)


def _imports_show_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("id", help="Id of the import, as in the list.")
    _collection_place(sub)


def _collection_place(sub: argparse.ArgumentParser) -> None:
    _server_or_place(sub)
    sub.add_argument("--tenant", default="default_tenant", help="Tenant of the collection.")
    sub.add_argument("--database", default="default_database", help="Database of the collection.")


def _server_or_place(sub: argparse.ArgumentParser) -> None:
    _place(sub, "Directory that holds the data.").add_argument(
        "--url", default=argparse.SUPPRESS, help="Instead of a directory: a server; AFTERGLOW_API_KEY is shown to it."
    )
    sub.set_defaults(url=None)


def _export(given: argparse.Namespace) -> None:
    """Write a collection to a Parquet or JSON Lines file, with what is needed to make it again beside it."""
    from afterglow.cli.export import export

    export(
        given.url,
        _where(given),
        settings(aws=given.aws),
        collection=given.collection,
        file=given.file,
        tenant=given.tenant,
        database=given.database,
    )


def _export_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("collection", help="Name of the collection.")
    sub.add_argument("file", type=Path, help="File to write: its name ends in .parquet, .jsonl or .jsonl.gz.")
    _collection_place(sub)


def _verify(given: argparse.Namespace) -> None:
    """Look whether everything that is stored is there, whole and in agreement; exits with 1 where it is not."""
    from afterglow.cli.verify import verify

    verify(_where(given), settings(aws=given.aws), given.collection, given.tenant, given.database)


def _verify_arguments(sub: argparse.ArgumentParser) -> None:
    _compact_arguments(sub)


def _demo(given: argparse.Namespace) -> None:
    """Load 2,000 Debian packages, ask a few questions, plain and filtered, and print the answers."""
    from afterglow.cli.demo import demo

    demo(given.url, given.path)


def _demo_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--url", default=argparse.SUPPRESS, help="A server to use; without it, one is started for the demo."
    )
    sub.add_argument(
        "--path",
        type=Path,
        default=argparse.SUPPRESS,
        help="Directory for the started server's data; a temporary one without it.",
    )
    sub.set_defaults(url=None, path=None)


def _keys_create(given: argparse.Namespace) -> None:
    """Make a key and print it: it is shown this once, and kept only as a hash."""
    from afterglow.cli import keys

    tenant = None if given.tenant == "*" else given.tenant
    found = settings(aws=given.aws)
    keys.create(_where(given), found, given.role, tenant=tenant, databases=given.database, name=given.name)


def _keys_create_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--role",
        choices=["admin", "writer", "reader"],
        default="admin",
        help="A reader reads, a writer also writes records and makes collections, an admin also makes databases.",
    )
    sub.add_argument(
        "--tenant", default="default_tenant", help="Tenant that the key is for; '*' for all, and for making tenants."
    )
    sub.add_argument(
        "--database",
        action="append",
        default=argparse.SUPPRESS,
        help="Database that the key is for, as often as needed; all of the tenant without it.",
    )
    sub.add_argument("--name", default=argparse.SUPPRESS, help="What to call it in the list.")
    sub.set_defaults(database=None, name="")
    _keys_place(sub)


def _keys_list(given: argparse.Namespace) -> None:
    """Print every key's id, role, scope, time and name."""
    from afterglow.cli import keys

    keys.show(_where(given), settings(aws=given.aws))


def _keys_revoke(given: argparse.Namespace) -> None:
    """Remove a key: servers refuse it within AFTERGLOW_AUTH_TRUST_SECONDS."""
    from afterglow.cli import keys

    keys.revoke(_where(given), settings(aws=given.aws), given.id)


def _keys_revoke_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("id", help="Id of the key, as in the list.")
    _keys_place(sub)


def _keys_place(sub: argparse.ArgumentParser) -> None:
    _place(sub, "Directory that holds the data.")


def _where(given: argparse.Namespace) -> Path | None:
    return None if given.aws else given.path.absolute()


def _place(sub: argparse.ArgumentParser, text: str) -> "argparse._MutuallyExclusiveGroup":
    either = sub.add_mutually_exclusive_group()
    either.add_argument("--path", type=Path, default=Path("data"), help=text)
    either.add_argument(
        "--aws",
        action="store_true",
        default=argparse.SUPPRESS,
        help="Instead of a directory: the table and the bucket that AFTERGLOW_TABLE and AFTERGLOW_BUCKET name.",
    )
    sub.set_defaults(aws=False)
    return either


def _between(least: int, most: int) -> Callable[[str], int]:
    def parsed(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{number} is not between {least} and {most}")
        return number

    return parsed
