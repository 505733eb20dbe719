"""`afterglow rescue`: what a Chroma directory contains, also a damaged one, and saving it."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from afterglow.cli import options
from afterglow.cli.console import EXIT_FAILED, echo
from afterglow.settings import Settings, System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterglow.bulk.chroma_directory.parts import Inventory
    from afterglow.bulk.chroma_directory.tables import Tables


def add_rescue_options(parser: argparse.ArgumentParser) -> None:
    """The options of `rescue`."""
    parser.add_argument("directory", type=options.parse_path, help="Directory of Chroma 0.4 to 1.5; it is not changed.")
    parser.add_argument(
        "--into", type=options.parse_path, help="Data directory to save the collections in; created if missing."
    )
    parser.add_argument(
        "--out",
        type=options.parse_path,
        help="Folder to save files in: JSON Lines for each collection, with sidecars for `import`.",
    )
    parser.add_argument(
        "--leftovers",
        action="store_true",
        help="With --into, also save vectors without a record, in collections NAME.leftovers, and records whose vector "
        "may be that of another one, in collections NAME.uncertain; --out always does.",
    )
    parser.add_argument(
        "--deleted",
        action="store_true",
        help="Also save deleted records of which chroma.sqlite3 still has the bytes: files NAME.deleted.jsonl (if it "
        "is damaged, always), or collections NAME.deleted.",
    )


def rescue(args: argparse.Namespace) -> None:
    """Show the contents and the damage of a Chroma directory, which is not changed, and save what is readable.

    Exit code 1 if anything is damaged or could not be saved.
    """
    from afterglow.bulk.chroma_directory import rescue as rescuer
    from afterglow.bulk.chroma_directory.source import open_directory

    settings, system = options.load_settings(aws=False), System()
    with open_directory(args.directory, deleted=args.deleted) as (tables, inventories):
        if args.out is not None:
            rescuer.check_folder(args.out, inventories)
        for line in rescuer.report_lines(tables, inventories):
            echo(line)
        is_incomplete = rescuer.is_damaged(tables, inventories)
        if args.out is not None:
            _save_files(args.out, tables, inventories, system)
        if args.into is not None:
            is_incomplete |= _save_collections(args, tables, inventories, settings, system)
    if is_incomplete:
        raise SystemExit(EXIT_FAILED)


def _save_files(folder: Path, tables: "Tables", inventories: "Sequence[Inventory]", system: System) -> None:
    from afterglow.bulk.chroma_directory import rescue as rescuer
    from afterglow.cli.progress import progress_bar

    with progress_bar("records") as progress:
        for item in inventories:
            task = progress.add_task(str(item.description.info), total=None)
            for path, count in rescuer.save(tables, item, folder, system, partial(progress.advance, task)):
                echo(f"{path}: {count} records")


def _save_collections(
    args: argparse.Namespace,
    tables: "Tables",
    inventories: "Sequence[Inventory]",
    settings: Settings,
    system: System,
) -> bool:
    """Whether a collection differs from its source, or has contents that --into cannot save."""
    from afterglow.bulk.chroma_directory.parts import Part
    from afterglow.bulk.chroma_directory.source import DirectorySource
    from afterglow.bulk.migrate import MigrationFilter
    from afterglow.bulk.open_endpoints import open_target
    from afterglow.cli.bulk import migrate_all

    requested = {
        Part.UNCERTAIN: args.leftovers,
        Part.LEFTOVERS: args.leftovers,
        Part.DELETED_VECTORS: args.deleted,
    }
    further = [part for part, is_requested in requested.items() if is_requested]
    source = DirectorySource(tables, inventories, further)
    with open_target(None, args.into.absolute(), settings, system) as target:
        reports = list(migrate_all(source, target, MigrationFilter()))
    is_incomplete = any(report.differences or report.failure for report in reports)
    without = sum(item.parts[Part.WITHOUT_VECTORS] for item in inventories)
    leftovers = sum(item.parts[Part.LEFTOVERS] for item in inventories)
    uncertain = sum(item.parts[Part.UNCERTAIN] for item in inventories)
    deleted = sum(item.parts[Part.DELETED_VECTORS] for item in inventories)
    if uncertain and args.out is None and not args.leftovers:
        echo(f"{uncertain} records with an uncertain vector are not in {args.into}: --leftovers or --out saves them")
    if without and args.out is None:
        echo(f"{without} records without a vector are not in {args.into}: --out saves their documents and metadata")
    if leftovers and args.out is None and not args.leftovers:
        echo(f"{leftovers} vectors without a record are not in {args.into}: --leftovers or --out saves them")
    if deleted and args.out is None and not args.deleted:
        echo(f"{deleted} records of deleted rows are not in {args.into}: --deleted or --out saves them")
    return is_incomplete
