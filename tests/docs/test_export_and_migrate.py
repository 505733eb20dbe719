"""The commands of `docs/moving.md`, carried out one after another."""

import subprocess
import sys
from pathlib import Path

from tests.docs.carried import carried_out, commands
from tests.docs.written import ROOT
from tests.support.server import running
from tests.support.wire import Wire

MOVING = ROOT / "docs" / "moving.md"


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
    done = carried_out(commands(MOVING.read_text()), tmp_path)
    assert "1 collections, 1 records, 0 with differences" in done
    assert (tmp_path / "books.parquet.import.json").exists()
    verified = carried_out("afterglow verify --path data", tmp_path)
    told = dict(line.split(": ", 1) for line in verified.splitlines())
    assert sorted(told) == [
        f"default_tenant/{database}/{name}"
        for database in ("as_it_was", "default_database")
        for name in ("books", "books2", "theirs")
    ]
    assert all(each.endswith(": sound") for each in told.values())
