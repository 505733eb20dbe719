"""`afterglow status`, `collections` and `query`: what a deployment holds, as tables on standard output.

All work on a data directory, on an AWS account, or on a running server with `--url`.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from afterglow.cli import options
from afterglow.cli.console import EXIT_USAGE, echo, exit_with, print_table
from afterglow.errors import NotFound
from afterglow.settings import Settings, System
from afterglow.version import __version__

if TYPE_CHECKING:
    from afterglow.bulk.endpoint import CollectionInfo, Endpoint

_DOCUMENT_WIDTH = 60


def status(args: argparse.Namespace) -> None:
    """Show the version, and every collection with its records and unindexed operations."""
    settings = options.load_settings(aws=args.aws)
    with _endpoint(args, settings) as endpoint:
        echo(f"afterglow {__version__}, {args.url or options.data_path(args, settings) or 'AWS account'}")
        rows, records, waiting = [], 0, 0
        for info in _all(endpoint):
            count, unindexed = endpoint.count(info), endpoint.unindexed(info)
            rows.append((str(info), str(count), *_shape(info), str(unindexed)))
            records, waiting = records + count, waiting + unindexed
        echo(f"{len(rows)} collections, {records} records, {waiting} unindexed operations")
        if rows:
            print_table(("COLLECTION", "RECORDS", "DIMENSIONS", "SPACE", "UNINDEXED"), rows)


def list_collections(args: argparse.Namespace) -> None:
    """List the collections of a database."""
    with _endpoint(args) as endpoint:
        found = endpoint.collections(args.tenant, args.database)
        print_table(
            ("NAME", "RECORDS", "DIMENSIONS", "SPACE", "ID"),
            [(info.name, str(endpoint.count(info)), *_shape(info), info.id) for info in found],
        )


def show_collection(args: argparse.Namespace) -> None:
    """Show a collection's configuration, metadata and numbers as JSON."""
    with _endpoint(args) as endpoint:
        info = _find(endpoint, args)
        numbers = {"records": endpoint.count(info), "unindexed_operations": endpoint.unindexed(info)}
        shown = {
            "id": info.id,
            "tenant": info.tenant,
            "database": info.database,
            "name": info.name,
            "dimension": info.dimension,
            **numbers,
            "metadata": info.metadata,
            "configuration": info.configuration,
        }
        echo(json.dumps(shown, indent=2, ensure_ascii=False))


def delete_collection(args: argparse.Namespace) -> None:
    """Delete a collection with all of its records. It can be restored for AFTERGLOW_RETENTION_SECONDS."""
    if not args.yes:
        exit_with(f"delete asks for --yes: all records of {args.collection!r} will be deleted", EXIT_USAGE)
    with _endpoint(args) as endpoint:
        info = _find(endpoint, args)
        endpoint.delete(info)
        echo(f"{info} deleted")


def query(args: argparse.Namespace) -> None:
    """Find the records of a collection that are nearest to a text, to a vector or to another record."""
    sought: str | list[float] | None = args.text if args.vector is None else _vector(args.vector)
    where = None if args.where is None else options.parse_where_option(args.where)
    with _endpoint(args) as endpoint:
        info = _find(endpoint, args)
        if sought is None:
            like = endpoint.get(info, [args.like])
            if not like.ids or like.embeddings is None:
                raise NotFound(f"no record {args.like!r} in collection {args.collection!r}")
            sought = like.embeddings[0].tolist()
        found = endpoint.nearest(info, sought, args.results, where)
        print_table(
            ("DISTANCE", "ID", "DOCUMENT"),
            [(f"{hit.distance:.6g}", hit.id, _shorten(hit.document)) for hit in found],
        )


def add_collection_options(parser: argparse.ArgumentParser) -> None:
    """The options of commands that name a collection."""
    parser.add_argument("collection", help="Name of the collection.")
    options.add_endpoint(parser)
    options.add_database(parser)


def add_delete_options(parser: argparse.ArgumentParser) -> None:
    """The options of `collections delete`."""
    add_collection_options(parser)
    parser.add_argument("--yes", action="store_true", help="Confirm the deletion.")


def add_list_options(parser: argparse.ArgumentParser) -> None:
    """The options of `collections list`."""
    options.add_endpoint(parser)
    options.add_database(parser)


def add_query_options(parser: argparse.ArgumentParser) -> None:
    """The options of `query`."""
    add_collection_options(parser)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument(
        "--text", help="Text to search for; the collection's embedding function must be one that the server runs."
    )
    group.add_argument("--vector", metavar="JSON", help="Vector to search for, as a JSON list of numbers.")
    group.add_argument("--like", metavar="ID", help="Record whose embedding is searched for.")
    parser.add_argument("--where", metavar="JSON", help='Filter, such as \'{"year": {"$gt": 2000}}\'.')
    parser.add_argument("-n", "--results", type=options.int_between(1, 10_000), default=10, help="Number of results.")


@contextmanager
def _endpoint(args: argparse.Namespace, settings: Settings | None = None) -> "Iterator[Endpoint]":
    from afterglow.bulk.open_endpoints import open_source

    settings = settings or options.load_settings(aws=args.aws)
    path = None if args.url else options.data_path(args, settings)
    with open_source(args.url, path, settings, System()) as endpoint:
        yield endpoint


def _all(endpoint: "Endpoint") -> "Iterator[CollectionInfo]":
    for tenant in endpoint.tenants():
        for database in endpoint.databases(tenant):
            yield from endpoint.collections(tenant, database)


def _find(endpoint: "Endpoint", args: argparse.Namespace) -> "CollectionInfo":
    info = endpoint.find(args.tenant, args.database, args.collection)
    if info is None:
        raise options.collection_not_found(args)
    return info


def _shape(info: "CollectionInfo") -> tuple[str, str]:
    """The number of dimensions and the space."""
    index = info.configuration.get("hnsw") or info.configuration.get("spann") or {}
    return "-" if info.dimension is None else str(info.dimension), index.get("space", "l2")


def _shorten(document: str | None) -> str:
    text = " ".join((document or "").split())
    return text if len(text) <= _DOCUMENT_WIDTH else text[: _DOCUMENT_WIDTH - 1] + "…"


def _vector(text: str) -> list[float]:
    parsed = options.parse_json_option("--vector", text)
    if not isinstance(parsed, list) or not all(isinstance(item, int | float) for item in parsed):
        exit_with("--vector must be a list of numbers", EXIT_USAGE)
    return parsed
