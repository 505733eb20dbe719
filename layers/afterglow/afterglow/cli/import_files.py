"""`afterglow import`: files into a collection."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from uuid import UUID

from afterglow.bulk import planner, sidecar
from afterglow.bulk.chroma_client import ChromaConnection
from afterglow.bulk.formats.detect import NPY, is_auxiliary, kind_of
from afterglow.bulk.http_sink import ServerSink
from afterglow.bulk.import_file import import_file
from afterglow.bulk.import_store import ImportStore
from afterglow.bulk.range_import import ImportContext
from afterglow.bulk.sidecar import Sidecar
from afterglow.bulk.sink import EngineSink
from afterglow.bulk.sources import Source, file_source, object_source
from afterglow.bulk.types import ImportReport, Target
from afterglow.cli.failures import FAILED
from afterglow.cli.import_bar import ImportProgress
from afterglow.cli.interrupts import deferred_interrupt
from afterglow.cli.lines import echo
from afterglow.collection import Engine
from afterglow.collection.types import Scope
from afterglow.deployment.local import open_local
from afterglow.deployment.open import open_deployment
from afterglow.errors import InvalidArgument, NotFound
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System

REJECTED = 3
_S3 = "s3://"
_SHOWN_REJECTED = 10
_LOOK_SECONDS = 0.25
_STATE = Path(".cache") / "afterglow" / "imports"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What is to be imported, how, and where to."""

    files: Sequence[str]
    target: Target
    sidecar: Path | None
    space: str | None
    again: bool


def run(url: str | None, path: Path | None, settings: Settings, wanted: ImportOptions) -> None:
    """Imports files into a collection of a server, else of a directory, else (neither) of the AWS account.

    A line for each file. Ends the program with 1 where a file could not be imported, with 3 where rows of one were
    rejected. Raises InvalidArgument, NotFound, Unavailable, StorageFull.
    """
    system = System()
    said = _sidecar(wanted)
    found = [source for each in wanted.files for source in _sources(each, settings, system)]
    with _context(url, path, settings, system) as (site, engine):
        receipts = [_import(site, source, wanted, said) for source in found]
        if engine is not None and path is not None:
            _wait_until_indexed(engine, receipts, system)
    if any(each.state != "done" for each in receipts):
        raise SystemExit(FAILED)
    if any(each.rejected for each in receipts):
        raise SystemExit(REJECTED)


def _import(site: ImportContext, source: Source, wanted: ImportOptions, said: Sidecar | None) -> ImportReport:
    began = site.system.now()
    with deferred_interrupt() as check, ImportProgress(check) as bar:
        done = import_file(site, source, wanted.target, said, bar, again=wanted.again)
    receipt, took = done.report, site.system.now() - began
    if done.already_imported:
        echo(f"{source.name}: imported before, {receipt.rows} rows; --again imports it once more")
        return receipt
    if receipt.state == "done":
        rate = f"{bar.rows / took:,.0f} rows/s" if took > 0 else ""
        before = f", {receipt.rows - bar.rows} of them before" if bar.rows < receipt.rows else ""
        echo(f"{source.name}: {receipt.rows} rows{before}, {receipt.rejected} rejected, {took:.1f} s, {rate}")
    else:
        echo(f"{source.name}: failed: {receipt.reason}; {receipt.rows} rows were imported")
    if receipt.rejected:
        tenant, database = wanted.target.tenant, wanted.target.database
        errors = list(islice(site.store.errors(tenant, database, receipt.id), _SHOWN_REJECTED))
        for each in errors:
            echo(f"  line {each['line']}: {each['reason']}")
        if receipt.rejected > len(errors):
            echo(f"  and {receipt.rejected - len(errors)} more: afterglow imports show {receipt.id}")
    return receipt


def _sidecar(wanted: ImportOptions) -> Sidecar | None:
    if wanted.sidecar is None and wanted.space is None:
        return None
    said = Sidecar() if wanted.sidecar is None else sidecar.parse(wanted.sidecar.read_bytes(), str(wanted.sidecar))
    return replace(said, space=wanted.space or said.space)


def _sources(given: str, settings: Settings, system: System) -> Iterator[Source]:
    """The files of a path, a directory or an S3 address. Raises NotFound, InvalidArgument."""
    if given.startswith(_S3):
        yield from _objects(given, settings, system)
        return
    path = Path(given)
    if path.is_dir():
        chosen = [each for each in sorted(path.rglob("*")) if each.is_file() and _is_importable(each.name)]
        if not chosen:
            raise NotFound(f"{given}: nothing in this directory can be imported")
        for each in chosen:
            found = file_source(each, each.relative_to(path).as_posix())
            if found is not None:
                yield found
        return
    only = file_source(path)
    if only is None:
        raise NotFound(f"{given}: no such file")
    yield only if not only.name.endswith(NPY) else planner.companion_of(only) or only


def _objects(given: str, settings: Settings, system: System) -> Iterator[Source]:
    try:
        from afterglow.storage.aws.clients import Clients
        from afterglow.storage.aws.disk_cache import DiskCache
        from afterglow.storage.aws.objects import S3Objects
    except ModuleNotFoundError:
        raise InvalidArgument("boto3 is not installed, which s3:// needs: pip install 'afterglow[aws]'") from None
    bucket, _, prefix = given.removeprefix(_S3).partition("/")
    objects = S3Objects(
        Clients(system), bucket, DiskCache(Path(settings.cache_dir), settings.cache_max_bytes, system), system
    )
    root = prefix if prefix.endswith("/") else f"{prefix.rpartition('/')[0]}/".removeprefix("/")
    keys = [info.key for info in objects.list(prefix) if _is_importable(info.key)]
    chosen = [each for each in keys if each == prefix] or [each for each in keys if each.startswith(root or prefix)]
    if not chosen:
        raise NotFound(f"{given}: nothing there can be imported")
    for each in chosen:
        found = object_source(objects, system, each, root)
        if found is not None:
            yield found


def _is_importable(name: str) -> bool:
    return not is_auxiliary(name) and kind_of(name) is not None


@contextmanager
def _context(
    url: str | None, path: Path | None, settings: Settings, system: System
) -> Iterator[tuple[ImportContext, Engine | None]]:
    if url is not None:
        connection = ChromaConnection(url, system, settings.api_key)
        folder = Path.home() / _STATE / hashlib.sha256(connection.url.encode()).hexdigest()[:16]
        state = open_local(folder, system)
        ledger = ImportStore(state.table, state.objects, system, settings.import_report_ttl_seconds)
        try:
            yield ImportContext(ServerSink(connection, state.table), ledger, settings, system), None
        finally:
            connection.close()
            state.table.close()
        return
    engine = start_engine(open_deployment(path, settings, system), settings, system)
    stores = engine.stores
    ledger = ImportStore(stores.table, stores.objects, system, settings.import_report_ttl_seconds)
    try:
        yield ImportContext(EngineSink(engine), ledger, settings, system), engine
    finally:
        engine.close()


def _wait_until_indexed(engine: Engine, receipts: Sequence[ImportReport], system: System) -> None:
    """Nobody else may look after the directory: what was imported is indexed before the program ends."""
    scopes = {
        Scope(each.tenant, each.database, UUID(each.collection_id))
        for each in receipts
        if each.collection_id is not None
    }
    for scope in scopes:
        try:
            while (status := engine.indexing_status(scope)).indexed_ops < status.total_ops:
                system.sleep(_LOOK_SECONDS)
        except NotFound:
            continue
