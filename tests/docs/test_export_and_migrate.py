"""The commands of `docs/export-and-migrate.md`, run in order.

Those that need another database run in `tests/clients/test_databases.py`.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.generated import DOCS
from tests.docs.run_blocks import commands, run_commands
from tests.support.server import running
from tests.support.wire import Wire

PAGE = DOCS / "export-and-migrate.md"
OTHER_DATABASES = re.compile(r"--from-(qdrant|pgvector|lancedb|s3-vectors)")


@pytest.mark.slow
def test_export_migration_and_dump(tmp_path: Path) -> None:
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
    runnable = [line for line in commands(PAGE.read_text()).splitlines() if not OTHER_DATABASES.search(line)]
    output = run_commands("\n".join(runnable), tmp_path)
    assert "1 collections, 1 records, 0 with differences" in output
    assert (tmp_path / "books.parquet.import.json").exists()
    verified = run_commands("afterglow verify --path data", tmp_path)
    states = dict(line.split(": ", 1) for line in verified.splitlines())
    assert sorted(states) == [
        f"default_tenant/{database}/{name}"
        for database in ("as_it_was", "default_database")
        for name in ("books", "books2", "theirs")
    ]
    assert all(state.endswith(": ok") for state in states.values())
