"""What commands of several families take."""

import argparse
from collections.abc import Callable
from pathlib import Path


def place(sub: argparse.ArgumentParser, text: str) -> "argparse._MutuallyExclusiveGroup":
    """A directory or the account; what else may name the place is added to the group that is answered."""
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


def where(given: argparse.Namespace) -> Path | None:
    """The directory that was named, None for the account."""
    return None if given.aws else given.path.absolute()


def server_or_place(sub: argparse.ArgumentParser) -> None:
    """A server, a directory or the account."""
    place(sub, "Directory that holds the data.").add_argument(
        "--url", default=argparse.SUPPRESS, help="Instead of a directory: a server; AFTERGLOW_API_KEY is shown to it."
    )
    sub.set_defaults(url=None)


def collection_place(sub: argparse.ArgumentParser) -> None:
    """The database of a collection, and where it is: on a server, in a directory or in the account."""
    server_or_place(sub)
    sub.add_argument("--tenant", default="default_tenant", help="Tenant of the collection.")
    sub.add_argument("--database", default="default_database", help="Database of the collection.")


def one_or_all(sub: argparse.ArgumentParser) -> None:
    """A collection of a directory or the account, or all of them: for `compact` and `verify`."""
    sub.add_argument(
        "collection",
        nargs="?",
        default=argparse.SUPPRESS,
        help="Name or id of one collection; all of them without it.",
    )
    sub.set_defaults(collection=None)
    place(sub, "Directory that holds the data.")
    sub.add_argument("--tenant", default="default_tenant", help="Tenant of the collection named.")
    sub.add_argument("--database", default="default_database", help="Database of the collection named.")


def between(least: int, most: int) -> Callable[[str], int]:
    """Reads a number of a range."""

    def parsed(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{number} is not between {least} and {most}")
        return number

    return parsed
