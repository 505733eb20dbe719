"""What the start of a process costs the processor: milliseconds by library, and of its first answer.

For each run a fresh process with compiled modules, as the layers have them, in an emulated account whose stores answer
at once. The embedder's first answer, which needs a model, includes unpacking and loading it. The figures are the least
of all runs: whatever else the machine does makes a run dearer, never cheaper.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import afterglow
from afterglow.storage.aws.clients import Clients
from tests.benchmarks.cold_account import ROOT, Account, account
from tests.benchmarks.start_process import EMBEDDED
from tests.support.emulator.weather import Weather
from tests.support.onnx_files import archive_of

EMBEDDER = "embedder"
SUBJECTS = ("api", "indexer", "maintenance", "importer", EMBEDDER, EMBEDDED)
SHOWN = 9
"""Libraries with a line of their own."""


@dataclass(frozen=True)
class Start:
    """The least of all runs, in ms: until ready, of the first answer (None: not asked), of each library's import."""

    ready: float
    answer: float | None
    libraries: Counter[str]
    modules: Counter[str]

    @property
    def imports(self) -> float:
        """Milliseconds of all imports."""
        return sum(self.libraries.values())


def environment(loaded: Account, folder: Path, layers: Path | None) -> dict[str, str]:
    """Of a container: with a place for compiled modules, or with what `sam build` compiled."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    compiled = {"PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    if layers is not None:
        names = ("DependenciesLayer", "AfterglowLayer", "ImportsLayer", "EmbeddingLayer")
        compiled = {"PYTHONPATH": os.pathsep.join([*(str(layers / name / "python") for name in names), str(ROOT)])}
    return {
        **variables,
        **compiled,
        "AFTERGLOW_TABLE": loaded.settings.table,
        "AFTERGLOW_BUCKET": loaded.settings.bucket,
        "AFTERGLOW_QUEUE": loaded.settings.queue,
        "AFTERGLOW_IMPORT_QUEUE": loaded.settings.queue,
        "AFTERGLOW_CACHE_DIR": str(folder / "cache"),
        "AFTERGLOW_AUTH": "off",
    }


def query_event(loaded: Account) -> dict[str, Any]:
    """A query, as the gateway sends it."""
    return {
        "version": "2.0",
        "rawPath": loaded.path("query"),
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "sourceIp": "127.0.0.1"}, "requestId": "bench"},
        "body": json.dumps({"query_embeddings": [[0.5] * 8], "n_results": 10}),
    }


def store_model(loaded: Account, folder: Path) -> str:
    """Put the model in the folder into the account's bucket, as an archive; its SHA-256."""
    archive = archive_of(folder)
    Clients().s3.put_object(Bucket=loaded.settings.bucket, Key=loaded.settings.embedding_model_archive, Body=archive)
    return hashlib.sha256(archive).hexdigest()


def measure(python: str, subject: str, argument: str, variables: dict[str, str], runs: int) -> Start:
    """Start it once to compile it, then as often as asked."""
    command = [python, "-W", "ignore", "-m", "tests.benchmarks.start_process", subject, argument]
    found: list[list[dict[str, Any]]] = []
    for _ in range(runs + 1):
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
        found.append([json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"cpu_ms"')])
    readings = [lines[0] for lines in found[1:]]
    libraries = Counter({name: min(one["modules_ms"][name] for one in readings) for name in readings[0]["modules_ms"]})
    answers = [lines[1]["cpu_ms"] for lines in found[1:] if len(lines) > 1]
    return Start(
        min(one["cpu_ms"] for one in readings),
        min(answers) if answers else None,
        libraries,
        Counter(readings[0]["modules"]),
    )


def table(starts: dict[str, Start]) -> str:
    """The table in markdown: the libraries that cost the most anywhere, in the order of the first column."""
    subjects = list(starts)
    names = sorted({name for one in starts.values() for name in one.libraries}, key=lambda n: -_most(starts, n))[:SHOWN]
    rows = [f"| CPU ms | {' | '.join(subjects)} |", f"|---|{'--:|' * len(subjects)}"]

    def row(title: str, values: list[str]) -> None:
        rows.append(f"| {title} | {' | '.join(values)} |")

    for name in names:
        row(f"import of {name}", [f"{one.libraries[name]:.0f}" for one in starts.values()])
    row(
        "import of others",
        [f"{one.imports - sum(one.libraries[name] for name in names):.0f}" for one in starts.values()],
    )
    row("interpreter, clients, application", [f"{one.ready - one.imports:.0f}" for one in starts.values()])
    row("**until ready**", [f"**{one.ready:.0f}**" for one in starts.values()])
    row("first answer, nothing cached", ["–" if one.answer is None else f"{one.answer:.0f}" for one in starts.values()])
    row("modules", [str(one.modules.total()) for one in starts.values()])
    return "\n".join(rows)


def _most(starts: dict[str, Start], name: str) -> float:
    return max(one.libraries[name] for one in starts.values())


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--only", choices=SUBJECTS)
    parser.add_argument("--model", type=Path, help="a folder with the embedder's model")
    parser.add_argument("--layers", type=Path, help="what `make build` made: measure these files, as Lambda has them")
    parser.add_argument("--python", default=sys.executable, help="the interpreter; for layers, Python 3.13")
    options = parser.parse_args()
    rows = np.random.default_rng(1).standard_normal((300, 8), dtype=np.float32)
    with tempfile.TemporaryDirectory() as name, account(rows, Path(name) / "account") as loaded:
        folder = Path(name)
        loaded.emulator.set_weather(Weather())
        with afterglow.PersistentClient(str(folder / "data")) as client:
            client.create_collection("start", embedding_function=None).add(["a"], [1, 0])
        arguments = {"api": json.dumps(query_event(loaded)), EMBEDDED: str(folder / "data")}
        variables = environment(loaded, folder, options.layers)
        if options.model is not None:
            variables["AFTERGLOW_EMBEDDING_MODEL_CHECKSUM"] = store_model(loaded, options.model)
            arguments[EMBEDDER] = json.dumps({"texts": ["a text to embed"]})
        starts = {
            subject: measure(
                options.python,
                subject,
                arguments.get(subject, "null"),
                variables,
                options.runs,
            )
            for subject in SUBJECTS
            if options.only in (None, subject) and (options.layers is None or subject != EMBEDDED)
        }
    print(table(starts))


if __name__ == "__main__":
    main()
