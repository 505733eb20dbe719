"""Measures of what leaves and what comes: the commands as a user calls them, from start to end."""

import subprocess
import time
from pathlib import Path

from tests.benchmarks.contenders import COLLECTION, Contender
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.targets import Samples
from tests.support.server import script


def _command(*arguments: str) -> float:
    """Seconds that a command of ours took."""
    began = time.perf_counter()
    subprocess.run([script("afterglow"), *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def export(contender: Contender, corpus: Corpus, folder: Path, samples: Samples, number: int) -> None:
    """The collection as Parquet, beside the server at work on the same directory."""
    file = folder / f"export-{number}.parquet"
    took = _command("export", COLLECTION, str(file), "--path", str(contender.folder))
    samples.add("export", contender.name, len(corpus) / took)


def move(theirs: Contender, corpus: Corpus, folder: Path, samples: Samples, number: int) -> None:
    """Everything of the genuine server into a directory, compared in the end."""
    url = f"http://{theirs.running.host}:{theirs.running.port}"
    took = _command("import", "--from-chroma", url, "--path", str(folder / f"moved-{number}"))
    samples.add("move", "ours", len(corpus) / took)
