"""A server, and a look at one: `run` and `demo`."""

import argparse
from pathlib import Path

from afterglow.cli.arguments import shared

_MOST_WORKERS = 64


def run(given: argparse.Namespace) -> None:
    """Serve the Chroma API from one directory, or from an AWS account, until Ctrl-C."""
    from afterglow.cli.run import run

    where = None if given.aws else given.path
    run(where, given.host, given.port, workers=given.workers, allow_reset=given.allow_reset)


def run_arguments(sub: argparse.ArgumentParser) -> None:
    """What `run` takes."""
    shared.place(sub, "Directory that holds the data; made if it is not there.")
    sub.add_argument(
        "--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 for every network of this machine."
    )
    sub.add_argument(
        "--port", type=shared.between(0, 65535), default=8000, help="Port to listen on; 0 takes a free one."
    )
    sub.add_argument(
        "--workers",
        type=shared.between(1, _MOST_WORKERS),
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


def demo(given: argparse.Namespace) -> None:
    """Load 2,000 Debian packages, ask a few questions, plain and filtered, and print the answers."""
    from afterglow.cli.demo import demo

    demo(given.url, given.path)


def demo_arguments(sub: argparse.ArgumentParser) -> None:
    """What `demo` takes."""
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
