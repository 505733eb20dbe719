"""`afterglow import`: files into a collection, or collections of another database."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from afterglow.cli import bulk, import_databases, options
from afterglow.cli.console import (
    EXIT_FAILED,
    EXIT_REJECTED_ROWS,
    EXIT_USAGE,
    deferred_interrupt,
    echo,
    exit_with,
    notice,
)
from afterglow.cli.import_sources import list_sources
from afterglow.errors import AfterglowError
from afterglow.settings import Settings, System

if TYPE_CHECKING:
    from afterglow.bulk.range_import import ImportContext
    from afterglow.bulk.sidecar import GivenOptions
    from afterglow.bulk.sources import Source
    from afterglow.bulk.types import ImportReport, Target
    from afterglow.collection import Engine

_MAX_PRINTED_REJECTED = 10
_REMOTE_STATE = Path(".cache") / "afterglow" / "imports"
"""Below the home directory: how far the imports into each remote server are."""


def add_import_options(parser: argparse.ArgumentParser) -> None:
    """The options of `import`."""
    parser.add_argument(
        "files",
        nargs="*",
        type=options.parse_location,
        default=[],
        metavar="FILE",
        help="File, directory of files, or s3://bucket/prefix.",
    )
    parser.add_argument(
        "--from-chroma",
        metavar="URL_OR_DIRECTORY",
        help="Instead of files: a Chroma server or data directory. Imports all of it, or only the given tenant, "
        "database and collection.",
    )
    import_databases.add_database_options(parser)
    parser.add_argument(
        "--collection",
        help="Name of the collection to import into; created if missing. With another database: the one to import.",
    )
    options.add_endpoint(parser, options.NEW_DIRECTORY)
    parser.add_argument("--tenant", help=f"Tenant of the collection; for files, {options.DEFAULT_TENANT} if omitted.")
    parser.add_argument(
        "--database", help=f"Database of the collection; for files, {options.DEFAULT_DATABASE} if omitted."
    )
    parser.add_argument(
        "--sidecar",
        type=options.parse_path,
        help="JSON file that describes the columns and the collection. Without it, FILE.import.json next to each file "
        "is used if it exists.",
    )
    for role in ("id", "embedding", "document"):
        parser.add_argument(f"--{role}", metavar="COLUMN", help=f"Column of the {role}, whatever its name.")
    parser.add_argument(
        "--metadata",
        action="append",
        metavar="COLUMN",
        help="Column of metadata; may be repeated. Without it, all columns without another role.",
    )
    parser.add_argument("--encoding", help="Encoding of text files that are not UTF-8, such as latin-1.")
    parser.add_argument("--sheet", metavar="NAME", help="Sheet of Excel workbooks; without it, the first with rows.")
    parser.add_argument(
        "--flatten", action="store_true", help="Turn nested metadata into keys like a.b instead of leaving it out."
    )
    parser.add_argument(
        "--space", choices=["l2", "ip", "cosine"], help="Distance function of the collection if it is created."
    )
    parser.add_argument(
        "--force", action="store_true", help="Import files again that were already imported and have not changed."
    )


_NOTHING_GIVEN = (None, None, None, None, None, None, None, None, False)


def _given_options(args: argparse.Namespace) -> tuple[object, ...]:
    named = (args.sidecar, args.space, args.id, args.embedding, args.document, args.metadata, args.encoding)
    return (*named, args.sheet, args.flatten)


def import_(args: argparse.Namespace) -> None:
    """Import files (JSON Lines, JSON, CSV, Excel, Parquet, npy) or another database. Run again, it resumes."""
    if args.from_chroma is not None:
        if import_databases.is_given(args) or args.files or args.force or _given_options(args) != _NOTHING_GIVEN:
            exit_with(
                "--from-chroma cannot be combined with another database, with files or with options of files",
                EXIT_USAGE,
            )
        bulk.migrate(args)
    elif import_databases.is_given(args) or args.query is not None:
        import_databases.check(args)
        _import_database(args)
    elif args.files and args.collection is not None:
        _import_files(args)
    elif args.files:
        exit_with("import of files needs --collection, the name of the collection to import into", EXIT_USAGE)
    else:
        exit_with("import needs either files and --collection, or a database such as --from-chroma", EXIT_USAGE)


def _import_files(args: argparse.Namespace) -> None:
    """Imports the files and prints a line for each.

    Exits with 1 if a file could not be imported, with 3 if rows were rejected. Raises InvalidArgument, NotFound,
    Unavailable, StorageFull.
    """
    from afterglow.bulk.types import Target

    system, settings = System(), options.load_settings(aws=args.aws)
    path = options.data_path(args, settings)
    target = Target(args.tenant or options.DEFAULT_TENANT, args.database or options.DEFAULT_DATABASE, args.collection)
    given = _read_options(args)
    sources = [source for name in args.files for source in list_sources(name, settings, system)]
    if args.sheet is not None and not any(_is_workbook(source.name) for source in sources):
        exit_with("--sheet needs an Excel workbook (.xlsx, .xlsm) among the files", EXIT_USAGE)
    with _open_context(args.url, path, settings, system) as (context, engine):
        reports = [_import_one(context, source, target, given, force=args.force) for source in sources]
        if engine is not None and path is not None:
            _wait_until_indexed(engine, reports)
    _exit_by(reports)


def _is_workbook(name: str) -> bool:
    from afterglow.bulk.formats.detect import detect_format
    from afterglow.bulk.types import FileFormat

    detected = detect_format(name)
    return detected is not None and detected[0] is FileFormat.XLSX


def _import_database(args: argparse.Namespace) -> None:
    """Imports the collections of another database, each into one of its name; exits as for files."""
    from afterglow.bulk.types import Target

    system, settings = System(), options.load_settings(aws=args.aws)
    path, given = options.data_path(args, settings), _read_options(args)
    if args.query is None:  # it names one of several vectors, not a column
        given = replace(given, columns={role: name for role, name in given.columns.items() if role != "embedding"})
    tenant, database = args.tenant or options.DEFAULT_TENANT, args.database or options.DEFAULT_DATABASE
    reports, failed = [], []
    with (
        import_databases.open_database(args, system) as (names, open_collection),
        _open_context(args.url, path, settings, system) as (context, engine),
    ):
        for name in names:
            try:
                source = open_collection(name)
            except AfterglowError as error:
                echo(f"{name}: failed: {error.message}")
                failed.append(name)
                continue
            target = Target(tenant, database, name)
            reports.append(_import_one(context, source, target, given, force=args.force))
        if engine is not None and path is not None:
            _wait_until_indexed(engine, reports)
    failed += [report.file for report in reports if report.state != "done"]
    echo(f"{len(names)} collections, {sum(report.rows for report in reports)} rows, {len(failed)} failed")
    for name in failed:
        echo(f"  failed: {name}")
    if failed or not names:
        raise SystemExit(EXIT_FAILED)
    _exit_by(reports)


def _exit_by(reports: "Sequence[ImportReport]") -> None:
    if any(report.state != "done" for report in reports):
        raise SystemExit(EXIT_FAILED)
    if any(report.rejected for report in reports):
        raise SystemExit(EXIT_REJECTED_ROWS)


def _import_one(
    context: "ImportContext", source: "Source", target: "Target", given: "GivenOptions", *, force: bool
) -> "ImportReport":
    from afterglow.bulk.import_file import import_file
    from afterglow.bulk.report_text import column_lines
    from afterglow.cli.progress import ImportProgress

    start = context.system.monotonic()
    try:
        with deferred_interrupt() as check, ImportProgress(check) as progress:
            result = import_file(context, source, target, given, progress, force=force)
    except KeyboardInterrupt:
        notice(f"{source.name}: interrupted; the same command resumes")
        raise
    report, seconds = result.report, context.system.monotonic() - start
    if result.already_imported:
        echo(f"{source.name}: already imported, {report.rows} rows; --force imports it again")
        return report
    if report.state == "done":
        rate = f", {progress.rows / seconds:,.0f} rows/s" if seconds > 0 else ""
        earlier = f", {report.rows - progress.rows} of them before" if progress.rows < report.rows else ""
        echo(f"{source.name}: {report.rows} rows{earlier}, {report.rejected} rejected, {seconds:.1f} s{rate}")
    else:
        echo(f"{source.name}: failed: {report.reason}; {report.rows} rows were imported")
    for line in column_lines(report):
        echo(f"  {line}")
    if report.rejected:
        rejected = list(islice(context.store.errors(target.tenant, target.database, report.id), _MAX_PRINTED_REJECTED))
        for row in rejected:
            echo(f"  line {row['line']}: {row['reason']}")
        if report.rejected > len(rejected):
            echo(f"  and {report.rejected - len(rejected)} more: afterglow import-reports show {report.id}")
    return report


def _read_options(args: argparse.Namespace) -> "GivenOptions":
    from afterglow.bulk import sidecar
    from afterglow.bulk.sidecar import GivenOptions

    roles = {"id": args.id, "embedding": args.embedding, "document": args.document}
    return GivenOptions(
        sidecar=None if args.sidecar is None else sidecar.parse(args.sidecar.read_bytes(), str(args.sidecar)),
        columns={role: column for role, column in roles.items() if column is not None},
        metadata=None if args.metadata is None else tuple(args.metadata),
        space=args.space,
        encoding=args.encoding,
        sheet=args.sheet,
        flatten=args.flatten,
    )


@contextmanager
def _open_context(
    url: str | None, path: Path | None, settings: Settings, system: System
) -> "Iterator[tuple[ImportContext, Engine | None]]":
    """The import context of a server, of a data directory or of the AWS account; of the last two also the engine."""
    import hashlib

    from afterglow.bulk.http_connection import HttpConnection
    from afterglow.bulk.http_sink import ServerSink
    from afterglow.bulk.import_store import ImportStore
    from afterglow.bulk.range_import import ImportContext
    from afterglow.bulk.sink import EngineSink
    from afterglow.deployment.local import open_local
    from afterglow.deployment.open import open_deployment
    from afterglow.jobs.start import start_engine

    if url is not None:
        connection = HttpConnection(url, system, settings.api_key)
        try:
            home = Path.home()
        except RuntimeError:
            exit_with("the progress of an import by --url is in the home directory, and there is none: set HOME")
        folder = home / _REMOTE_STATE / hashlib.sha256(connection.url.encode()).hexdigest()[:16]
        state = open_local(folder, system)
        store = ImportStore(state.table, state.objects, system, settings.import_report_ttl_seconds)
        try:
            yield ImportContext(ServerSink(connection, state.table), store, settings, system), None
        finally:
            connection.close()
            state.table.close()
        return
    engine = start_engine(open_deployment(path, settings, system), settings, system)
    store = ImportStore(engine.stores.table, engine.stores.objects, system, settings.import_report_ttl_seconds)
    try:
        yield ImportContext(EngineSink(engine), store, settings, system), engine
    finally:
        engine.close()


def _wait_until_indexed(engine: "Engine", reports: "Sequence[ImportReport]") -> None:
    """Waits for the background indexer, as no other process may be running on the directory. Raises Unavailable."""
    from afterglow.collection.types import Scope

    scopes = {
        Scope(report.tenant, report.database, UUID(report.collection_id))
        for report in reports
        if report.collection_id is not None
    }
    for scope in scopes:
        engine.wait_until_indexed(scope)
