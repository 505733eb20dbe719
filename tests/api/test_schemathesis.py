"""Schemathesis holds the server to its own OpenAPI document: no 5xx, and no answer that the document does not describe.

It runs as a program, in an environment of its own (`make test-openapi`), first with whatever tenants, databases and
collections it makes up, then with a collection that is there. A 501 is an answer where the document says so. A query
among ids that are not all there is a 500 by the contract, so that status is let pass for it; that nothing unexpected
was behind any answer is seen in the server's log, which would have its traceback.
"""

import subprocess
from pathlib import Path

import httpx
import pytest

from afterglow.api.http.route import Route
from afterglow.api.v2.routes import ROUTES
from tests.support.server import Server, running

PROGRAM = Path(__file__).parents[2] / ".venv-schemathesis" / "bin" / "schemathesis"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
DATABASE = "/api/v2/tenants/default_tenant/databases/default_database"
EXAMPLES = 25
SEED = 1
FORGET = ("DELETE", "/reset")
"""What would take away the collection that is there."""
EMBEDDING = ("embed.embed", "transactions.query", "transactions.search")
"""What embeds texts of the default collection."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROGRAM.exists(), reason="needs the environment of `make test-openapi`"),
]


def expected(route: Route) -> list[int | str]:
    """The statuses that are no failure of a route."""
    statuses: list[int | str] = ["2xx", "3xx", "4xx"]
    if 501 in (route.success, *route.failures):
        statuses.append(501)
    if route.operation in EMBEDDING:
        statuses.append(503)  # no model is there
    if route.operation == "records.query":
        statuses.append(500)
    return statuses


def configuration(collection_id: str | None) -> str:
    """The program's configuration; with a collection, every request is about it."""
    lines = [
        f"seed = {SEED}",
        "continue-on-failure = true",
        f"generation.max-examples = {EXAMPLES}",
        "warnings = false",
    ]
    # A request for changes waits for them as long as it says, and the program waits ten seconds.
    lines += ["[parameters]", '"query.wait" = 0']
    if collection_id is not None:
        lines += ['"path.tenant" = "default_tenant"', '"path.database" = "default_database"']
        lines += [f'"path.collection_id" = "{collection_id}"']
    for route in ROUTES:
        if route.hidden:
            continue
        lines += ["[[operations]]", f'include-name = "{route.method} {route.path}"']
        lines += [f"checks.not_a_server_error.expected-statuses = {expected(route)}".replace("'", '"')]
        if collection_id is not None and (route.method in FORGET or route.path.endswith(FORGET)):
            lines += ["enabled = false"]
    return "\n".join(lines)


def hold_to_the_document(server: Server, folder: Path, collection_id: str | None = None) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "schemathesis.toml").write_text(configuration(collection_id))
    base = f"http://127.0.0.1:{server.port}"
    command = [str(PROGRAM), "--config-file", "schemathesis.toml", "run", base + "/openapi.json", "--url", base]
    command += ["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert '"traceback"' not in server.output.read_text(errors="replace")


def test_with_whatever_it_makes_up(tmp_path: Path) -> None:
    with running(tmp_path / "data", options=["--allow-reset"]) as server:
        hold_to_the_document(server, tmp_path / "run")


def test_with_a_collection_that_is_there(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}{DATABASE}") as client:
            collection_id = client.post("/collections", json={"name": "described"}).json()["id"]
            records = {"ids": ["a", "b"], "embeddings": [[0.1, 0.9], [0.8, 0.2]], "documents": ["first", None]}
            assert client.post(f"/collections/{collection_id}/add", json=records).status_code == 201
        hold_to_the_document(server, tmp_path / "run", collection_id)
