"""`afterglow reembed`: moves a collection to another embedding function while it is used."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from afterglow.cli import options
from afterglow.cli.console import EXIT_USAGE, echo, exit_with
from afterglow.settings import System

if TYPE_CHECKING:
    from afterglow.bulk.reembed.run import ReembedReport

_MAX_SAMPLES = 10_000
_MAX_RESULTS = 1_000
_MAX_HOLD_SECONDS = 600


def add_reembed_options(parser: argparse.ArgumentParser) -> None:
    """The options of `reembed`."""
    parser.add_argument("collection", help="Name of the collection.")
    parser.add_argument(
        "--to",
        required=True,
        metavar="FUNCTION",
        help="Embedding function: a name, or JSON with `name` and `config`, as in AFTERGLOW_EMBEDDER.",
    )
    parser.add_argument(
        "--queries",
        type=options.parse_path,
        metavar="FILE",
        help="Queries to compare old and new vectors by, one text per line. Without it, records are the queries.",
    )
    parser.add_argument(
        "--samples",
        type=options.int_between(1, _MAX_SAMPLES),
        default=100,
        help="Number of records to use as queries.",
    )
    parser.add_argument(
        "-k",
        "--results",
        type=options.int_between(1, _MAX_RESULTS),
        default=10,
        help="Number of nearest records to compare.",
    )
    parser.add_argument(
        "--min-overlap",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="Swap only if at least this share of the nearest records, from 0 to 1, is the same.",
    )
    parser.add_argument(
        "--no-swap", action="store_true", help="Stop before the swap. The same command without this option finishes it."
    )
    parser.add_argument(
        "--hold",
        type=options.int_between(0, _MAX_HOLD_SECONDS),
        default=30,
        metavar="SECONDS",
        help="Refuse writes with 429 for at most this long if writers leave no moment for the swap; 0: never.",
    )
    parser.add_argument("--skip-without-document", action="store_true", help="Leave out records that have no document.")
    options.add_deployment(parser)
    options.add_database(parser)


def reembed(args: argparse.Namespace) -> None:
    """Embed a collection again with another embedding function while it stays in use, then replace the old one.

    Run again, it resumes.
    """
    from contextlib import closing

    from afterglow.bulk.reembed.run import ReembedRequest
    from afterglow.bulk.reembed.run import reembed as run
    from afterglow.cli.progress import progress_bar
    from afterglow.deployment.open import open_deployment
    from afterglow.jobs.start import start_engine

    system = System()
    settings = replace(options.load_settings(aws=args.aws), embedder=args.to)
    path = options.existing_data_path(args, settings)
    request = ReembedRequest(
        args.tenant,
        args.database,
        args.collection,
        queries=() if args.queries is None else _lines(args.queries),
        samples=args.samples,
        k=args.results,
        min_overlap=args.min_overlap,
        swap=not args.no_swap,
        hold_seconds=float(args.hold),
        skip_without_document=args.skip_without_document,
        wait_until_indexed=path is not None,
    )
    with (
        closing(start_engine(open_deployment(path, settings, system), settings, system)) as engine,
        progress_bar("records") as progress,
    ):
        task = progress.add_task(f"embedding {args.collection}", total=None)
        report = run(engine, request, lambda total, done: progress.update(task, total=total, completed=done))
    _print(report, args.collection)


def _print(report: "ReembedReport", name: str) -> None:
    skipped = f", {report.skipped} without a document left out" if report.skipped else ""
    compared = "" if report.overlap is None else f"; {report.overlap}"
    echo(f"{name}: {report.records} records of {report.copy.dimension or 0} dimensions{skipped}{compared}")
    if report.is_swapped:
        echo(f"{name} is collection {report.copy.id} now; the old one can be restored under another name:")
        echo(f"  afterglow restore {report.source.id} --name {name}-old")
    else:
        echo(f"not swapped: the new vectors are in collection {report.copy.name!r}")


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        exit_with(f"{path}: cannot be read: {error}", EXIT_USAGE)
    texts = [line for line in lines if line]
    return texts or exit_with(f"{path}: has no texts", EXIT_USAGE)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return share
