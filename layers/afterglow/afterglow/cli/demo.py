"""`afterglow demo`: loads sample data into a server over HTTP, runs a few searches and prints the results.

The sample is in a directory next to this module, described in its README. Its queries come with their embeddings, so no
embedding model is needed. Requests are plain HTTP, made with the standard library, as any client could make them.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterglow.cli import options
from afterglow.errors import InternalError, InvalidArgument, Unavailable
from afterglow.temporary import Purpose, TemporaryFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console
    from rich.table import Table

COLLECTION = "debian-packages"
DATABASE = "/api/v2/tenants/default_tenant/databases/default_database"
BATCH = 500
RESULTS = 5
TIMEOUT_SECONDS = 60.0
ANNOUNCED_URL = re.compile(r"\bon (http://\S+?),")


@dataclass(frozen=True, slots=True)
class Sample:
    """n records with embeddings (n, d) float32; `queries` maps a text to its embedding (d,) float32."""

    ids: list[str]
    documents: list[str]
    metadatas: list[dict[str, Any]]
    embeddings: "NDArray[np.float32]"
    queries: "dict[str, NDArray[np.float32]]"


@dataclass(frozen=True, slots=True)
class Search:
    """One search of the demo: a query text of the sample, and filters in the API's form."""

    text: str
    filters: Mapping[str, Any] = field(default_factory=dict)


SEARCHES = (
    Search("strong chess engine, to play chess against"),
    Search("efficient similarity search and clustering of dense vectors"),
    Search("decentralized file synchronization"),
    Search("post-apocalyptic roguelike game - SDL interface", {"where": {"section": "games"}}),
    Search(
        "post-apocalyptic roguelike game - SDL interface",
        {"where": {"$and": [{"section": "games"}, {"size": {"$lt": 500_000}}]}},
    ),
    Search(
        "Modern, legacy free, simple yet efficient vim-like editor",
        {"where": {"tags": {"$contains": "interface::text-mode"}}},
    ),
    Search(
        "whole-genome association analysis toolset",
        {"where": {"section": {"$ne": "gnu-r"}}, "where_document": {"$contains": "genotype"}},
    ),
    Search("Bayesian spam filter", {"where_document": {"$regex": r"(?i)\b(imap|pop3?)\b"}}),
)


def load_sample() -> Sample:
    """Reads the sample that ships with the package."""
    import gzip
    from importlib import resources

    import numpy as np
    import orjson

    with resources.as_file(resources.files("afterglow.cli") / "sample") as folder:
        with gzip.open(folder / "packages.jsonl.gz") as lines:
            records = [orjson.loads(line) for line in lines]
        texts = [orjson.loads(line)["text"] for line in (folder / "queries.jsonl").read_bytes().splitlines()]
        embeddings = np.load(folder / "embeddings.npy").astype(np.float32)
        queries = np.load(folder / "queries.npy").astype(np.float32)
    return Sample(
        [record["id"] for record in records],
        [record["document"] for record in records],
        [record["metadata"] for record in records],
        embeddings,
        dict(zip(texts, queries, strict=True)),
    )


class _Connection:
    """One connection to a server of the Chroma API."""

    def __init__(self, url: str) -> None:
        import http.client
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise InvalidArgument(f"expected a URL like http://127.0.0.1:8000, got {url!r}")
        self._url = url
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_SECONDS)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Sends a request to a path below the default database. Raises Unavailable, InternalError for status ≥ 400."""
        import http.client

        import orjson

        payload = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            self._connection.request("POST", DATABASE + path, payload, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"no response from {self._url}: {error}") from error
        if response.status >= 400:
            raise InternalError(f"{self._url} returned {response.status}: {content[:500].decode(errors='replace')}")
        result: dict[str, Any] = orjson.loads(content)
        return result


@contextmanager
def _start_server(path: Path, *inherited: int) -> Iterator[str]:
    """Runs a server on `path` and a free port for the duration of the block; yields its URL.

    The server inherits the descriptors: it may outlive this process.
    """
    import subprocess

    code = "from afterglow.cli.main import main; main()"
    command = [sys.executable, "-c", code, "run", "--path", str(path), "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=inherited) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            url = next((match[1] for line in process.stdout if (match := ANNOUNCED_URL.search(line))), None)
            if url is None:
                raise Unavailable(f"the server on {path} did not start")
            yield url
        finally:
            process.terminate()


@contextmanager
def _server(url: str | None, path: Path | None) -> Iterator[str]:
    if url is not None:
        yield url
    elif path is not None:
        with _start_server(path) as started:
            yield started
    else:
        with TemporaryFolder(Purpose.DEMO) as folder, _start_server(folder.path, folder.descriptor) as started:
            yield started


def add_demo_options(parser: argparse.ArgumentParser) -> None:
    """The options of `demo`."""
    parser.add_argument("--url", help="Server to use. Without it, a server is started for the demo.")
    parser.add_argument(
        "--path",
        type=options.parse_path,
        help="Data directory of the started server. Without it, a temporary directory.",
    )


def demo(args: argparse.Namespace) -> None:
    """Load 2,000 Debian packages, run a few searches with and without filters, and print the results."""
    run_demo(args.url, args.path)


def run_demo(url: str | None = None, path: Path | None = None, console: "Console | None" = None) -> None:
    """Runs the demo against the server at `url`, or against one started on `path` or on a temporary directory."""
    from rich.console import Console

    console = console or Console()
    sample = load_sample()
    with _server(url, path) as base:
        connection = _Connection(base)
        collection = connection.post("/collections", {"name": COLLECTION, "get_or_create": True})["id"]
        _load(connection, f"/collections/{collection}/upsert", sample, console)
        for number, search in enumerate(SEARCHES, 1):
            console.print(_search(connection, f"/collections/{collection}/query", sample, search, number))
    if path is not None:
        console.print(f"The records are in {path}; serve them with: afterglow run --path {path}", highlight=False)


def _load(connection: _Connection, path: str, sample: Sample, console: "Console") -> None:
    from rich.progress import Progress

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
            connection.post(path, body)
            progress.advance(task, len(sample.ids[rows]))
    console.print(f"{len(sample.ids):,} Debian packages in the collection {COLLECTION!r}.", highlight=False)


def _search(connection: _Connection, path: str, sample: Sample, search: Search, number: int) -> "Table":
    import orjson
    from rich import box
    from rich.table import Table

    body = {"query_embeddings": [sample.queries[search.text]], "n_results": RESULTS, **search.filters}
    response = connection.post(path, body)
    filters = "  ".join(f"{key}={orjson.dumps(value).decode()}" for key, value in search.filters.items())
    title = f"{number}. “{search.text}”" + (f"\n   {filters}" if filters else "")
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, expand=False)
    table.add_column("distance", justify="right")
    table.add_column("package", style="cyan", no_wrap=True)
    table.add_column("section")
    table.add_column("size", justify="right")
    table.add_column("description")
    for row in _rows(response):
        table.add_row(*row)
    if not table.rows:
        table.add_row("–", "no match", "", "", "")
    return table


def _rows(response: Mapping[str, Sequence[Sequence[Any]]]) -> Iterator[tuple[str, ...]]:
    columns = (response["distances"][0], response["ids"][0], response["metadatas"][0], response["documents"][0])
    for distance, name, metadata, document in zip(*columns, strict=True):
        yield f"{distance:.3f}", name, metadata["section"], _size(metadata["size"]), document.split(". ")[0]


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"
