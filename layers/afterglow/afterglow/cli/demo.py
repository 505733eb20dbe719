"""`afterglow demo`: loads the sample into a server over HTTP, asks it a few questions, prints what a person can judge.

The sample is a directory beside this module (its README tells the source); its questions come with their embeddings, so
that no model is needed. Everything goes over the wire with the standard library: what works here works for any client.
"""

import gzip
import http.client
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from afterglow.errors import InternalError, InvalidArgument, Unavailable

COLLECTION = "debian-packages"
DATABASE = "/api/v2/tenants/default_tenant/databases/default_database"
BATCH = 500
ANSWERS = 5
TIMEOUT_SECONDS = 60.0
ANNOUNCED = re.compile(r"\bon (http://\S+?),")


@dataclass(frozen=True, slots=True)
class Sample:
    """n records and their embeddings (n, d) float32; `questions` maps each text to its embedding (d,) float32."""

    ids: list[str]
    documents: list[str]
    metadatas: list[dict[str, Any]]
    embeddings: NDArray[np.float32]
    questions: dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a text of the sample and the filters, as the wire has them."""

    text: str
    filters: Mapping[str, Any] = field(default_factory=dict)


QUESTIONS = (
    Question("strong chess engine, to play chess against"),
    Question("efficient similarity search and clustering of dense vectors"),
    Question("decentralized file synchronization"),
    Question("post-apocalyptic roguelike game - SDL interface", {"where": {"section": "games"}}),
    Question(
        "post-apocalyptic roguelike game - SDL interface",
        {"where": {"$and": [{"section": "games"}, {"size": {"$lt": 500_000}}]}},
    ),
    Question(
        "Modern, legacy free, simple yet efficient vim-like editor",
        {"where": {"tags": {"$contains": "interface::text-mode"}}},
    ),
    Question(
        "whole-genome association analysis toolset",
        {"where": {"section": {"$ne": "gnu-r"}}, "where_document": {"$contains": "genotype"}},
    ),
    Question("Bayesian spam filter", {"where_document": {"$regex": r"(?i)\b(imap|pop3?)\b"}}),
)


def load_sample() -> Sample:
    """The sample that ships with the package."""
    with resources.as_file(resources.files("afterglow.cli") / "sample") as folder:
        with gzip.open(folder / "packages.jsonl.gz") as lines:
            records = [orjson.loads(line) for line in lines]
        texts = [orjson.loads(line)["text"] for line in (folder / "queries.jsonl").read_bytes().splitlines()]
        embeddings = np.load(folder / "embeddings.npy").astype(np.float32)
        questions = np.load(folder / "queries.npy").astype(np.float32)
    return Sample(
        [each["id"] for each in records],
        [each["document"] for each in records],
        [each["metadata"] for each in records],
        embeddings,
        dict(zip(texts, questions, strict=True)),
    )


class _Wire:
    """One connection to a Chroma server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise InvalidArgument(f"expected a url like http://127.0.0.1:8000, got {url!r}")
        self._url = url
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_SECONDS)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One request below the default database. Raises Unavailable, and InternalError with what the server said."""
        payload = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            self._connection.request("POST", DATABASE + path, payload, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"no answer from {self._url}: {error}") from error
        if answer.status >= 400:
            raise InternalError(f"{self._url} answered {answer.status}: {content[:500].decode(errors='replace')}")
        result: dict[str, Any] = orjson.loads(content)
        return result


@contextmanager
def _own_server(path: Path) -> Iterator[str]:
    """A server on `path`, on a free port, for the length of the block; its url."""
    code = "from afterglow.cli.main import main; main()"
    command = [sys.executable, "-c", code, "run", "--path", str(path), "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            announced = next((found[1] for line in process.stdout if (found := ANNOUNCED.search(line))), None)
            if announced is None:
                raise Unavailable(f"the server on {path} did not start")
            yield announced
        finally:
            process.terminate()


@contextmanager
def _server(url: str | None, path: Path | None) -> Iterator[str]:
    if url is not None:
        yield url
    elif path is not None:
        with _own_server(path) as own:
            yield own
    else:
        with tempfile.TemporaryDirectory(prefix="afterglow-demo-") as folder, _own_server(Path(folder)) as own:
            yield own


def demo(url: str | None = None, path: Path | None = None, console: Console | None = None) -> None:
    """Load and ask: on the server at `url`, or on one started here on `path` or on a temporary directory."""
    console = console or Console()
    sample = load_sample()
    with _server(url, path) as base:
        wire = _Wire(base)
        collection = wire.post("/collections", {"name": COLLECTION, "get_or_create": True})["id"]
        _load(wire, f"/collections/{collection}/upsert", sample, console)
        for number, question in enumerate(QUESTIONS, 1):
            console.print(_ask(wire, f"/collections/{collection}/query", sample, question, number))
    if path is not None:
        console.print(f"The records are in {path}; serve them with: afterglow run --path {path}", highlight=False)


def _load(wire: _Wire, path: str, sample: Sample, console: Console) -> None:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"loading {len(sample.ids):,} records", total=len(sample.ids))
        for start in range(0, len(sample.ids), BATCH):
            rows = slice(start, start + BATCH)
            body = {
                "ids": sample.ids[rows],
                "documents": sample.documents[rows],
                "metadatas": sample.metadatas[rows],
                "embeddings": sample.embeddings[rows],
            }
            wire.post(path, body)
            progress.advance(task, len(sample.ids[rows]))
    console.print(f"{len(sample.ids):,} Debian packages in the collection {COLLECTION!r}.", highlight=False)


def _ask(wire: _Wire, path: str, sample: Sample, question: Question, number: int) -> Table:
    body = {"query_embeddings": [sample.questions[question.text]], "n_results": ANSWERS, **question.filters}
    answer = wire.post(path, body)
    filters = "  ".join(f"{key}={orjson.dumps(value).decode()}" for key, value in question.filters.items())
    title = f"{number}. “{question.text}”" + (f"\n   {filters}" if filters else "")
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, expand=False)
    table.add_column("distance", justify="right")
    table.add_column("package", style="cyan", no_wrap=True)
    table.add_column("section")
    table.add_column("size", justify="right")
    table.add_column("description")
    for row in _rows(answer):
        table.add_row(*row)
    if not table.rows:
        table.add_row("–", "nothing matches", "", "", "")
    return table


def _rows(answer: Mapping[str, Sequence[Sequence[Any]]]) -> Iterator[tuple[str, ...]]:
    columns = (answer["distances"][0], answer["ids"][0], answer["metadatas"][0], answer["documents"][0])
    for distance, name, metadata, document in zip(*columns, strict=True):
        yield f"{distance:.3f}", name, metadata["section"], _size(metadata["size"]), document.split(". ")[0]


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"
