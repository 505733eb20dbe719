"""`afterglow tail`: the changes of a collection as lines of JSON on standard output."""

import argparse

from afterglow.cli import options
from afterglow.cli.console import echo
from afterglow.errors import PositionExpired
from afterglow.settings import System

_PAGE_LINES = 1_000
_WAIT_SECONDS = 20
_MAX_POSITIONS = 1_000_000


def add_tail_options(parser: argparse.ArgumentParser) -> None:
    """The options of `tail`."""
    parser.add_argument("collection", help="Name of the collection.")
    parser.add_argument("-f", "--follow", action="store_true", help="Keep running, and print new writes as they come.")
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "-n",
        "--positions",
        type=options.int_between(0, _MAX_POSITIONS),
        default=10,
        help="Start this many positions before the end of the log.",
    )
    group.add_argument(
        "--after", metavar="POSITION", help="Start after this position: 0, or the `next` of a printed line."
    )
    options.add_endpoint(parser)
    options.add_database(parser)


def tail(args: argparse.Namespace) -> None:
    """Print the writes to a collection in log order, as lines of JSON (docs/changes.md)."""
    from afterglow.bulk.open_endpoints import open_source

    settings = options.load_settings(aws=args.aws)
    path = None if args.url else options.data_path(args, settings)
    with open_source(args.url, path, settings, System()) as endpoint:
        info = endpoint.find(args.tenant, args.database, args.collection)
        if info is None:
            raise options.collection_not_found(args)
        after: str | None = args.after
        if after is None:
            after = str(max(endpoint.position(info) - args.positions, 0))
            try:
                endpoint.changes(info, after, 1)
            except PositionExpired as error:
                after = str(error.oldest)
        while True:
            page = endpoint.changes(info, after, _PAGE_LINES, _WAIT_SECONDS if args.follow else 0)
            for line in page.lines:
                echo(line.decode())
            after = page.next
            if not page.lines and not args.follow:
                return
