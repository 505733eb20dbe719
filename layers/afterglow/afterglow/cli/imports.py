"""`afterglow imports`: how imports went, as a ledger or a server knows it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from afterglow.bulk.chroma_client import ChromaConnection
from afterglow.bulk.import_store import ImportStore
from afterglow.cli.lines import echo
from afterglow.deployment.local import require_data_directory
from afterglow.deployment.open import open_stores
from afterglow.settings import Settings, System


def show_list(url: str | None, path: Path | None, settings: Settings, of: tuple[str, str]) -> None:
    """Prints every import of a tenant's database, the one last begun first."""
    with _asked(url, path, settings, of) as asked:
        for each in asked.listed():
            echo(_line(each))


def show(url: str | None, path: Path | None, settings: Settings, of: tuple[str, str], import_id: str) -> None:
    """Prints how an import ended or stands, and the rows that were rejected. Raises NotFound."""
    with _asked(url, path, settings, of) as asked:
        receipt = asked.receipt(import_id)
        for name, value in receipt.items():
            if value is not None:
                echo(f"{name:14} {value}")
        for each in asked.errors(import_id):
            echo(f"{each['file']}:{each['line']}: {each['reason']}")


def _line(told: dict[str, Any]) -> str:
    reason = f"  {told['reason']}" if told["reason"] else ""
    counts = f"{told['rows']:>10} rows {told['rejected']:>6} rejected"
    return f"{told['id']}  {told['state']:7} {counts}  {told['collection']}  {told['file']}{reason}"


class _Asked:
    """Who knows of imports: a ledger, or a server that has one."""

    def __init__(self, ledger: ImportStore | ChromaConnection, of: tuple[str, str]) -> None:
        self._ledger = ledger
        self._place = of

    def listed(self) -> list[dict[str, Any]]:
        if isinstance(self._ledger, ChromaConnection):
            return list(self._ledger.call("GET", self._path()))
        return [orjson.loads(each.encoded()) for each in self._ledger.list(*self._place)]

    def receipt(self, import_id: str) -> dict[str, Any]:
        if isinstance(self._ledger, ChromaConnection):
            return dict(self._ledger.call("GET", f"{self._path()}/{import_id}"))
        return dict(orjson.loads(self._ledger.report(*self._place, import_id).encoded()))

    def errors(self, import_id: str) -> list[dict[str, Any]]:
        if isinstance(self._ledger, ChromaConnection):
            return list(self._ledger.call("GET", f"{self._path()}/{import_id}/errors"))
        return list(self._ledger.errors(*self._place, import_id))

    def _path(self) -> str:
        return "/api/v2/tenants/{}/databases/{}/imports".format(*(quote(each, safe="") for each in self._place))


@contextmanager
def _asked(url: str | None, path: Path | None, settings: Settings, of: tuple[str, str]) -> Iterator[_Asked]:
    system = System()
    if url is not None:
        with closing(ChromaConnection(url, system, settings.api_key)) as connection:
            yield _Asked(connection, of)
        return
    with open_stores(path and require_data_directory(path), settings, system) as stores:
        yield _Asked(ImportStore(stores.table, stores.objects, system, settings.import_report_ttl_seconds), of)
