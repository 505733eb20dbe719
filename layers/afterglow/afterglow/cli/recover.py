"""`afterglow recover`: an AWS account whose table was restored to a point in time, or whose stack was deleted."""

import argparse
from datetime import UTC, datetime

from afterglow.cli import maintain, options
from afterglow.cli.console import echo
from afterglow.settings import System


def add_recover_options(parser: argparse.ArgumentParser) -> None:
    """The options of `recover`."""
    parser.add_argument(
        "--at",
        type=_time,
        required=True,
        metavar="TIME",
        help="The UTC time to which the table was restored, such as 2026-01-31T12:00:00Z; the current time if it was "
        "not restored.",
    )


def recover(args: argparse.Namespace) -> None:
    """After a restore of the table, bring the bucket to the same time, protect the table and verify all data.

    The table, the bucket and optionally the importer's queue are AFTERGLOW_TABLE, AFTERGLOW_BUCKET and
    AFTERGLOW_IMPORT_QUEUE. Exit code 1 if any object is missing or damaged.
    """
    from afterglow.deployment.open import recover_aws

    report = recover_aws(options.load_settings(aws=True), System(), args.at)
    echo(f"{report.objects} deleted objects restored")
    echo(f"table: {', '.join(report.enabled) or 'nothing else'} enabled")
    if report.notifies_importer:
        echo("bucket: uploaded files are imported")
    maintain.verify(argparse.Namespace(aws=True, path=None, collection=None))


def _time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-01-31T12:00:00Z") from None
    if moment.utcoffset() is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()
