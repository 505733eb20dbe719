"""Export and migration benchmarks: the commands as a user runs them, from start to end."""

import subprocess
import time
from pathlib import Path

from tests.benchmarks.corpus import Corpus
from tests.benchmarks.peers import COLLECTION, Peer
from tests.benchmarks.targets import Samples
from tests.support.server import script


def _command(*arguments: str) -> float:
    """Seconds that an afterglow command elapsed."""
    started = time.perf_counter()
    subprocess.run([script("afterglow"), *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def export(peer: Peer, corpus: Corpus, folder: Path, samples: Samples, number: int) -> None:
    """The collection as Parquet, while a server uses the same directory."""
    file = folder / f"export-{number}.parquet"
    elapsed = _command("export", COLLECTION, str(file), "--path", str(peer.folder))
    samples.add("export", peer.name, len(corpus) / elapsed)


def migrate(chroma: Peer, corpus: Corpus, folder: Path, samples: Samples, number: int) -> None:
    """All data of the Chroma server into a directory, compared afterwards."""
    url = f"http://{chroma.running.host}:{chroma.running.port}"
    elapsed = _command("import", "--from-chroma", url, "--path", str(folder / f"migrated-{number}"))
    samples.add("migrate", "afterglow", len(corpus) / elapsed)
