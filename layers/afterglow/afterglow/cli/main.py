"""The `afterglow` command. Each command imports what it needs when it runs, so that `--help` answers at once.

argparse, because a server that starts on demand pays for every import: see docs/decisions.md.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from afterglow import __version__
from afterglow.cli.failures import one_line, settings

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
        ("demo", _demo, _demo_arguments),
    ):
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
    return top


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

    where = None if given.aws else given.path.absolute()
    compact(where, settings(aws=given.aws), given.collection, given.tenant, given.database)


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


def _place(sub: argparse.ArgumentParser, text: str) -> None:
    either = sub.add_mutually_exclusive_group()
    either.add_argument("--path", type=Path, default=Path("data"), help=text)
    either.add_argument(
        "--aws",
        action="store_true",
        default=argparse.SUPPRESS,
        help="Instead of a directory: the table and the bucket that AFTERGLOW_TABLE and AFTERGLOW_BUCKET name.",
    )
    sub.set_defaults(aws=False)


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
