"""The command line of the bench. Heavy imports are deferred: the helper processes import this module too."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks import arguments

ROOT = Path(__file__).resolve().parents[2]


def parse_arguments() -> argparse.Namespace:
    """The options."""
    from tests.benchmarks.targets import PHASES

    parser = arguments.bench_parser("tests.benchmarks", __doc__)
    arguments.add_corpus(parser)
    arguments.add_rows(parser, "all of a corpus, 60,000 of the sample")
    parser.add_argument("--only", nargs="+", choices=PHASES, default=PHASES, metavar="PHASE", help=" ".join(PHASES))
    arguments.add_rounds(parser, 3)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure of every round here")
    parser.add_argument("--folder", type=Path, help="where the servers keep their data (default: the system's)")
    parser.add_argument("--skip-chroma", action="store_true", help="measure Afterglow alone")
    parser.add_argument("--skip-afterglow", action="store_true", help="measure Chroma alone")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    from rich.console import Console

    from afterglow import __version__
    from tests.benchmarks import corpus, plan, report, targets
    from tests.benchmarks.peers import REQUIREMENTS, Peer, chroma_environment

    options = parse_arguments()
    console = Console(width=None if sys.stdout.isatty() else 180)
    started = time.monotonic()
    records = corpus.load(options.corpus, options.rows)
    with tempfile.TemporaryDirectory(prefix="afterglow-bench-", ignore_cleanup_errors=True, dir=options.folder) as name:
        folder = Path(name)
        peers = [] if options.skip_afterglow else [Peer("afterglow", folder / "afterglow")]
        if not options.skip_chroma:
            peers.append(Peer("chroma", folder / "chroma", chroma_environment(ROOT)))

        def note(text: str) -> None:
            console.print(f"[dim]{time.monotonic() - started:6.0f} s  {text}[/dim]", highlight=False)

        samples = plan.Run(records, peers, folder, options.only, options.rounds, note).measure()
    chroma_version = "" if options.skip_chroma else f", {REQUIREMENTS.read_text().strip()}"
    circumstances = report.Circumstances(records.name, len(records), f"afterglow {__version__}{chroma_version}")
    verdicts = [targets.compare(row, samples) for row in targets.ROWS if row.phase in options.only]
    report.show(verdicts, circumstances, console)
    if options.json:
        report.write_json(options.json, report.as_json(verdicts, samples, circumstances))
    arguments.write_table(options.markdown, report.markdown(verdicts, circumstances))


if __name__ == "__main__":
    main()
