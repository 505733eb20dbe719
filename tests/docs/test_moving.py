"""The commands of `docs/moving.md`, carried out one after another."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.docs.written import ROOT
from tests.support.server import running, script
from tests.support.wire import Wire

MOVING = ROOT / "docs" / "moving.md"


def commands() -> str:
    """What is set as code."""
    return textwrap.dedent("\n".join(re.findall(r"^ {4}.*$", MOVING.read_text(), re.MULTILINE)))


def test_everything_moves(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server, server.client() as client:
        wire = Wire(client)
        books = wire.create("books", metadata={"about": "books"})
        wire.write(
            books, "add", {"ids": ["emma", "dune"], "embeddings": [[1, 2], [3, 4]], "metadatas": [{"n": 1}, None]}
        )
    code = (
        "import chromadb; client = chromadb.PersistentClient('chroma', chromadb.Settings(anonymized_telemetry=False)); "
        "client.create_collection('theirs', embedding_function=None).add(ids=['a'], embeddings=[[1.0, 2.0]])"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    path = f"{Path(script('afterglow')).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", commands()],
        cwd=tmp_path,
        env={"PATH": path, "HOME": str(tmp_path)},
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert "1 collections, 1 records, 0 with differences" in done.stdout
    assert (tmp_path / "books.parquet.import.json").exists()
    verified = subprocess.run(
        [script("afterglow"), "verify", "--path", "data"],
        cwd=tmp_path,
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    told = dict(line.split(": ", 1) for line in verified.stdout.splitlines())
    assert sorted(told) == [
        f"default_tenant/{database}/{name}"
        for database in ("as_it_was", "default_database")
        for name in ("books", "books2", "theirs")
    ]
    assert all(each.endswith(": sound") for each in told.values())
