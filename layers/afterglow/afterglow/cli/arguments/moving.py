"""Records in and out: `import`, `imports` and `export`."""

import argparse
from pathlib import Path

from afterglow.cli.arguments import shared
from afterglow.cli.failures import MISUSED, exit_with, settings


def import_(given: argparse.Namespace) -> None:
    """Import files (JSON Lines, CSV, Parquet), or all of a genuine Chroma; run again, it goes on where it was."""
    if given.from_chroma is not None:
        _import_from_chroma(given)
        return
    from afterglow.bulk.types import Target
    from afterglow.cli import import_files

    if not given.files or given.collection is None:
        exit_with("an import takes files and --collection, or --from-chroma", MISUSED)
    wanted = import_files.ImportOptions(
        files=given.files,
        target=Target(given.tenant or "default_tenant", given.database or "default_database", given.collection),
        sidecar=given.sidecar,
        space=given.space,
        again=given.again,
    )
    import_files.run(given.url, shared.where(given), settings(aws=given.aws), wanted)


def _import_from_chroma(given: argparse.Namespace) -> None:
    from afterglow.bulk.migrate import MigrationFilter
    from afterglow.cli.move import from_chroma

    if given.files or given.sidecar is not None or given.space is not None or given.again:
        exit_with("--from-chroma takes no files, --sidecar, --space or --again", MISUSED)
    wanted = MigrationFilter(given.tenant, given.database, given.collection)
    from_chroma(given.from_chroma, given.url, shared.where(given), settings(aws=given.aws), wanted)


def import_arguments(sub: argparse.ArgumentParser) -> None:
    """What `import` takes."""
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
    shared.server_or_place(sub)
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


def imports_list(given: argparse.Namespace) -> None:
    """Print every import of a database, the one last begun first."""
    from afterglow.cli import imports

    imports.show_list(given.url, shared.where(given), settings(aws=given.aws), (given.tenant, given.database))


def imports_show(given: argparse.Namespace) -> None:
    """Print how an import ended, or how far it is, and every row that was rejected, with the reason."""
    from afterglow.cli import imports

    imports.show(given.url, shared.where(given), settings(aws=given.aws), (given.tenant, given.database), given.id)


def imports_show_arguments(sub: argparse.ArgumentParser) -> None:
    """What `imports show` takes."""
    sub.add_argument("id", help="Id of the import, as in the list.")
    shared.collection_place(sub)


def export(given: argparse.Namespace) -> None:
    """Write a collection to a Parquet or JSON Lines file, with what is needed to make it again beside it."""
    from afterglow.cli.export import export

    export(
        given.url,
        shared.where(given),
        settings(aws=given.aws),
        collection=given.collection,
        file=given.file,
        tenant=given.tenant,
        database=given.database,
    )


def export_arguments(sub: argparse.ArgumentParser) -> None:
    """What `export` takes."""
    sub.add_argument("collection", help="Name of the collection.")
    sub.add_argument("file", type=Path, help="File to write: its name ends in .parquet, .jsonl or .jsonl.gz.")
    shared.collection_place(sub)
