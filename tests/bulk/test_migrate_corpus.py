"""A whole corpus in and out: from a genuine server, interrupted by a kill; as files; as a copy of its database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from afterglow.bulk.http_connection import HttpConnection
from afterglow.bulk.http_endpoint import HttpEndpoint
from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.collection import Engine
from afterglow.deployment.base import NullQueue
from afterglow.deployment.local import open_local
from afterglow.settings import Settings, System
from tests.benchmarks import corpus
from tests.bulk import chroma
from tests.bulk.records import plain
from tests.support.server import HOST, Server, chroma_command, free_port, running, spawn, wait_until_ready

PROGRAM = Path(sys.executable).with_name("afterglow")
PLACE = ("default_tenant", "default_database")
CORPUS = os.environ.get("AFTERGLOW_BENCH_CORPUS")
QUERIES = 200

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(CORPUS is None, reason="AFTERGLOW_BENCH_CORPUS names no corpus"),
]


@pytest.fixture(scope="module")
def records() -> corpus.Corpus:
    return corpus.load(Path(CORPUS or ""), None)


@pytest.fixture(scope="module")
def theirs(records: corpus.Corpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A genuine server with the corpus."""
    path, port = tmp_path_factory.mktemp("corpus") / "chroma", free_port()
    server = spawn(chroma_command(path, port), path, port)
    wait_until_ready(server)
    collection = chromadb.HttpClient(HOST, port, settings=chroma.quiet()).create_collection(
        "packages", embedding_function=None, metadata={"about": "packages"}
    )
    for start in range(0, len(records), 5_000):
        rows = slice(start, start + 5_000)
        collection.add(
            ids=records.ids[rows],
            embeddings=records.embeddings[rows],
            documents=records.documents[rows],
            metadatas=records.metadatas[rows],  # type: ignore[arg-type]
        )
    yield server
    server.stop()


@pytest.fixture(scope="module")
def moved(theirs: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all of it, whose move was killed on the way."""
    path = tmp_path_factory.mktemp("corpus") / "data"
    command = [str(PROGRAM), "import", "--from-chroma", f"http://{HOST}:{theirs.port}", "--path", str(path)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    time.sleep(6)
    os.killpg(first.pid, signal.SIGKILL)
    assert first.wait(30) == -signal.SIGKILL, "it was done before it could be killed"
    again = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    assert " of them copied before; 500 compared: equal" in again.stdout
    return path


@contextmanager
def local(path: Path) -> Iterator[LocalEndpoint]:
    directory = open_local(path, System())
    stores = directory.stores(Settings(), System(), NullQueue())
    yield LocalEndpoint(stores, Engine(stores))
    stores.table.close()


def afterglow(*arguments: str) -> str:
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_record_by_record(theirs: Server, moved: Path, records: corpus.Corpus) -> None:
    connection = HttpConnection(f"http://{HOST}:{theirs.port}", System())
    source = HttpEndpoint(connection)
    with local(moved) as target:
        original, found = (side.find(*PLACE, "packages") for side in (source, target))
        assert original is not None
        assert found is not None
        assert (found.configuration, found.metadata) == (original.configuration, original.metadata)
        ours = (item for page in target.read(found).pages for item in plain(page))
        count = 0
        for page in source.read(original).pages:
            for item in plain(page):
                assert item == next(ours)
                count += 1
        assert count == len(records)
        assert next(ours, None) is None
    connection.close()


def test_query_by_query(theirs: Server, moved: Path, records: corpus.Corpus) -> None:
    with running(moved) as server:
        asked = [
            chromadb.HttpClient(HOST, item.port, settings=chroma.quiet()).get_collection(
                "packages", embedding_function=None
            )
            for item in (theirs, server)
        ]
        asking: list[dict[str, Any]] = [{}, {"where": {"section": "games"}}, {"where_document": {"$contains": "chess"}}]
        for given in asking:
            queries = records.queries[:QUERIES]
            left, right = (item.query(queries, n_results=10, include=["distances"], **given) for item in asked)
            shared = [len(set(one) & set(other)) for one, other in zip(left["ids"], right["ids"], strict=True)]
            assert sum(shared) / (10 * QUERIES) > 0.95
            # Each may miss a neighbour; what is found here is no farther away than what is found there.
            distances = [np.array(found["distances"]) for found in (left, right)]
            assert (distances[1] <= distances[0] + 1e-4).mean() > 0.98


@pytest.mark.parametrize("ending", ["parquet", "jsonl.gz"])
def test_as_a_file(moved: Path, tmp_path: Path, ending: str) -> None:
    file, again = tmp_path / f"packages.{ending}", tmp_path / "again"
    afterglow("export", "packages", str(file), "--path", str(moved))
    afterglow("import", str(file), "--collection", "packages", "--path", str(again))
    with local(moved) as one, local(again) as other:
        pages = []
        for side in (one, other):
            found = side.find(*PLACE, "packages")
            assert found is not None
            pages.append(item for page in side.read(found).pages for item in plain(page))
        assert sorted(pages[0]) == sorted(pages[1])


def test_as_a_copy_of_its_database(moved: Path, tmp_path: Path) -> None:
    copy, again = str(tmp_path / "copy"), tmp_path / "again"
    afterglow("backup", "--database", "default_database", "--to", copy, "--path", str(moved))
    afterglow("restore", "--from", copy, "--path", str(again))
    assert "sound" in afterglow("verify", "--path", str(again))
    with local(moved) as one, local(again) as other:
        found = [side.find(*PLACE, "packages") for side in (one, other)]
        pages = [side.read(item).pages for side, item in zip((one, other), found, strict=True) if item is not None]
        for left, right in zip(*pages, strict=True):
            assert plain(left) == plain(right)


def test_in_the_memory_of_some_pages(moved: Path, tmp_path: Path) -> None:
    """An export of everything takes little more than one of nothing."""
    code = (
        "from pathlib import Path; from afterglow.cli.main import main; main()\n"
        "status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())\n"
        "print(status['VmHWM'].split()[0])"
    )
    file = str(tmp_path / "packages.parquet")
    done = subprocess.run(
        [sys.executable, "-c", code, "export", "packages", file, "--path", str(moved)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert int(done.stdout.split()[-1]) < 400_000
