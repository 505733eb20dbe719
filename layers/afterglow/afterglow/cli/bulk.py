"""`afterglow export`, `afterglow import-reports`, and `afterglow import --from-chroma`, the migration from Chroma."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from afterglow.cli import options
from afterglow.cli.console import EXIT_FAILED, echo
from afterglow.errors import InvalidArgument, NotFound
from afterglow.settings import System

if TYPE_CHECKING:
    from rich.progress import TaskID

    from afterglow.bulk.endpoint import CollectionInfo, Endpoint, Source
    from afterglow.bulk.http_connection import HttpConnection
    from afterglow.bulk.import_store import ImportStore
    from afterglow.bulk.migrate import MigrationFilter, MigrationReport


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """The options of `export`."""
    parser.add_argument("collection", help="Name of the collection.")
    parser.add_argument(
        "file", type=options.parse_path, help="File to write; its name must end in .parquet, .jsonl, .jsonl.gz or .csv."
    )
    options.add_endpoint(parser)
    options.add_database(parser)


def export(args: argparse.Namespace) -> None:
    """Export a collection to a Parquet, JSON Lines or CSV file, and its settings to a sidecar file for `import`."""
    from afterglow.bulk import export as exporter
    from afterglow.bulk.open_endpoints import open_source
    from afterglow.bulk.sidecar import sidecar_path
    from afterglow.cli.progress import progress_bar

    exporter.check_target(args.file)
    system, settings = System(), options.load_settings(aws=args.aws)
    with (
        open_source(args.url, options.data_path(args, settings), settings, system) as source,
        progress_bar("records") as progress,
    ):
        collection = source.find(args.tenant, args.database, args.collection)
        if collection is None:
            raise options.collection_not_found(args)
        task = progress.add_task(f"exporting {args.collection}", total=None)

        def on_start(records: int) -> Callable[[int], None]:
            progress.update(task, total=records)
            return lambda rows: progress.advance(task, rows)

        records = exporter.export(source, collection, args.file, system, on_start)
    size = args.file.stat().st_size
    echo(f"{args.file}: {records} records, {size / 1e6:.1f} MB; sidecar file: {sidecar_path(args.file).name}")


def add_report_list_options(parser: argparse.ArgumentParser) -> None:
    """The options of `import-reports list`."""
    options.add_endpoint(parser)
    options.add_database(parser)


def list_import_reports(args: argparse.Namespace) -> None:
    """List the imports into a database, the latest first."""
    with _open_reports(args) as reports:
        for report in reports.list():
            reason = f"  {report['reason']}" if report["reason"] else ""
            counts = f"{report['rows']:>10} rows {report['rejected']:>6} rejected"
            collection, file = report["collection"], report["file"]
            echo(f"{report['id']}  {report['state']:7} {counts}  {collection}  {file}{reason}")


def add_report_show_options(parser: argparse.ArgumentParser) -> None:
    """The options of `import-reports show`."""
    parser.add_argument("id", help="Id of the import, as shown by `import-reports list`.")
    add_report_list_options(parser)


def show_import_report(args: argparse.Namespace) -> None:
    """Show the result or the progress of one import: columns, counts, and each rejected row with the reason."""
    from afterglow.bulk.report_text import column_lines
    from afterglow.bulk.types import ImportReport

    with _open_reports(args) as reports:
        report = reports.get(args.id)
        for name, value in report.items():
            if value is not None and not isinstance(value, dict):
                echo(f"{name:14} {_format_time(value) if name.endswith('_at') else value}")
        for line in column_lines(ImportReport(**report)):
            echo(line)
        for row in reports.rejected_rows(args.id):
            echo(f"{row['file']}:{row['line']}: {row['reason']}")


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _ImportReports:
    """The import reports of one database: from an import store, or from a server that has one."""

    def __init__(self, store: "ImportStore | HttpConnection", tenant: str, database: str) -> None:
        from afterglow.bulk.http_connection import HttpConnection

        self._server = store if isinstance(store, HttpConnection) else None
        self._store = None if isinstance(store, HttpConnection) else store
        self._database = tenant, database

    def list(self) -> list[dict[str, Any]]:
        """Every report."""
        import orjson

        if self._store is None:
            return list(self._request(""))
        return [orjson.loads(report.encode()) for report in self._store.list(*self._database)]

    def get(self, import_id: str) -> dict[str, Any]:
        """One report. Raises NotFound."""
        import orjson

        if self._store is None:
            return dict(self._request(f"/{import_id}"))
        return dict(orjson.loads(self._store.report(*self._database, import_id).encode()))

    def rejected_rows(self, import_id: str) -> Iterator[dict[str, Any]]:
        """File, line and reason of each rejected row."""
        if self._store is None:
            yield from self._request(f"/{import_id}/errors")
        else:
            yield from self._store.errors(*self._database, import_id)

    def _request(self, path: str) -> Any:
        assert self._server is not None
        tenant, database = (quote(name, safe="") for name in self._database)
        return self._server.call("GET", f"/api/v2/tenants/{tenant}/databases/{database}/imports{path}")


@contextmanager
def _open_reports(args: argparse.Namespace) -> Iterator[_ImportReports]:
    from afterglow.bulk.http_connection import HttpConnection
    from afterglow.bulk.import_store import ImportStore

    if args.url is not None:
        settings = options.load_settings(aws=False)
        with closing(HttpConnection(args.url, System(), settings.api_key)) as connection:
            yield _ImportReports(connection, args.tenant, args.database)
        return
    with options.open_existing(args) as stores:
        ttl = stores.settings.import_report_ttl_seconds
        store = ImportStore(stores.table, stores.objects, stores.system, ttl)
        yield _ImportReports(store, args.tenant, args.database)


def migrate(args: argparse.Namespace) -> None:
    """Copies the collections of a Chroma server or directory; one line for each, exit code 1 if a copy differs.

    Raises InvalidArgument, NotFound, Unavailable, and what the two endpoints raise.
    """
    from afterglow.bulk.migrate import MigrationFilter
    from afterglow.bulk.open_endpoints import open_target

    system, settings = System(), options.load_settings(aws=args.aws)
    selection = MigrationFilter(args.tenant, args.database, args.collection)
    with (
        _open_chroma(args.from_chroma, args.tenant, system) as (source, recover),
        open_target(args.url, options.data_path(args, settings), settings, system) as target,
    ):
        reports = list(migrate_all(source, target, selection, recover))
    if not reports:
        raise NotFound(f"{args.from_chroma} has no collection of this tenant, database and name")
    differing = sum(bool(report.differences) for report in reports)
    records = sum(report.records for report in reports)
    failed = [report for report in reports if report.failure is not None]
    echo(f"{len(reports)} collections, {records} records, {differing} with differences, {len(failed)} failed")
    for report in failed:
        echo(f"  failed: {report.collection}")
    if failed and Path(args.from_chroma).is_dir():
        echo(f"what Chroma cannot read: afterglow rescue {args.from_chroma}")
    if differing or failed:
        raise SystemExit(EXIT_FAILED)


def migrate_all(
    source: "Source", target: "Endpoint", selection: "MigrationFilter", recover: Callable[[], None] | None = None
) -> "Iterator[MigrationReport]":
    """Migrates and prints one collection after another."""
    from afterglow.bulk.migrate import do_nothing, migrate
    from afterglow.cli.progress import progress_bar

    tasks: dict[str, TaskID] = {}
    with progress_bar("records") as progress:

        def on_progress(collection: "CollectionInfo", records: int, copied: int) -> None:
            if collection.id not in tasks:
                tasks[collection.id] = progress.add_task(str(collection))
            progress.update(tasks[collection.id], total=records, completed=copied)

        for report in migrate(source, target, selection, on_progress, recover or do_nothing):
            if report.failure is not None:
                echo(f"{report.collection}: failed: {report.failure}")
                yield report
                continue
            earlier = f", {report.already_present} of them copied before" if report.already_present else ""
            verdict = "differs" if report.differences else f"{report.sampled} compared: equal"
            echo(f"{report.collection}: {report.records} records{earlier}; {verdict}")
            for difference in report.differences:
                echo(f"  {difference}")
            yield report


@contextmanager
def _open_chroma(
    url_or_path: str, tenant: str | None, system: System
) -> "Iterator[tuple[Endpoint, Callable[[], None]]]":
    """The endpoint of a server or a directory, and what starts the server of a directory again."""
    from afterglow.bulk import chroma_server
    from afterglow.bulk.migrate import do_nothing

    if "://" in url_or_path:
        # Chroma's API cannot list tenants.
        with _connect(url_or_path, [tenant or options.DEFAULT_TENANT], system) as endpoint:
            yield endpoint, do_nothing
        return
    path = Path(url_or_path)
    if not path.is_dir():
        raise InvalidArgument(f"{url_or_path} is neither a URL nor a directory")
    tenants = chroma_server.tenants(path) or [options.DEFAULT_TENANT]
    with (
        chroma_server.open_server(path, system) as server,
        _connect(server.url, tenants, system, server.is_running) as endpoint,
    ):
        yield endpoint, server.restart


@contextmanager
def _connect(
    url: str, tenants: list[str], system: System, is_running: Callable[[], bool] = lambda: True
) -> "Iterator[Endpoint]":
    from afterglow.bulk.http_connection import HttpConnection
    from afterglow.bulk.http_endpoint import HttpEndpoint

    with closing(HttpConnection(url, system, is_running=is_running)) as connection:
        yield HttpEndpoint(connection, tenants)
