"""What the command lines of the benches have in common, and the file that their table is written to."""

import argparse
import os
from pathlib import Path


def bench_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """The parser of a bench, with `--markdown`."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="write the table as markdown here")
    return parser


def add_corpus(parser: argparse.ArgumentParser) -> None:
    """The corpus to measure on; None without one."""
    folder = os.environ.get("AFTERGLOW_BENCH_CORPUS")
    parser.add_argument("--corpus", type=Path, default=Path(folder) if folder else None, help="directory of a corpus")


def add_rows(parser: argparse.ArgumentParser, default: str = "all") -> None:
    """How many records of the corpus to take."""
    parser.add_argument("--rows", type=int, help=f"records to take (default: {default})")


def add_rounds(parser: argparse.ArgumentParser, default: int) -> None:
    """How often to measure."""
    parser.add_argument("--rounds", type=int, default=default, help="rounds that the medians are taken over")


def write_table(path: Path | None, table: str) -> None:
    """Write the table, where a path was given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(table)
