"""An import from a database whose process is killed: the next one continues; nothing is lost, nothing twice."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.bulk.databases.answers import Answers, serving

pytestmark = pytest.mark.slow

ROWS = 9_000


def point(number: int) -> dict[str, Any]:
    return {"id": number, "vector": [number / 8, 1.0], "payload": {"text": f"text {number}", "n": number}}


@dataclass
class Qdrant:
    """A server with one collection; kills the process that asks for the page at `kill_at`."""

    url: str = ""
    process: "subprocess.Popen[bytes] | None" = None
    kill_at: int | None = None
    pages: list[int] = field(default_factory=list)
    """The first points of the pages that were read whole."""

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        if path == "/collections":
            return {"collections": [{"name": "books"}]}
        if path.endswith("/count"):
            return {"count": ROWS}
        if not path.endswith("/scroll"):
            return {"config": {"params": {"vectors": {"size": 2, "distance": "Euclid"}}}}
        first = body["offset"] or 0
        last = min(ROWS, first + body["limit"])
        if body["with_payload"]:
            self.pages.append(first)
            if self.kill_at is not None and first >= self.kill_at and self.process is not None:
                self.process.kill()
        return {"points": [point(number) for number in range(first, last)], "next_page_offset": last % ROWS or None}


@contextmanager
def serving_qdrant() -> Iterator[Qdrant]:
    qdrant = Qdrant()

    class Scrolling(Answers):
        def answer(self, body: bytes) -> tuple[int, bytes]:
            return 200, json.dumps({"result": qdrant.answer(self.path, json.loads(body or b"{}"))}).encode()

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                pass  # of the process that was killed

    with serving(Scrolling) as address:
        qdrant.url = f"http://{address}"
        yield qdrant


def afterglow(qdrant: Qdrant, *arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    command = [sys.executable, "-m", "afterglow", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as qdrant.process:
        output, _ = qdrant.process.communicate(timeout=120)
        return qdrant.process.returncode, output.decode()


def test_it_continues_where_it_was_killed(tmp_path: Path) -> None:
    data, file = str(tmp_path / "data"), tmp_path / "books.jsonl"
    with serving_qdrant() as qdrant:
        source = ["import", "--from-qdrant", qdrant.url, "--path", data]
        for kill_at in (1, 7_000):
            qdrant.kill_at = kill_at
            code, output = afterglow(qdrant, *source)
            assert (code, output.count("rejected")) == (-9, 0), output
        qdrant.kill_at = None
        qdrant.pages.clear()
        code, output = afterglow(qdrant, *source)
        assert (code, " of them before, 0 rejected" in output) == (0, True), output
        # The first page is the sample by which columns are found; what is stored is not read again.
        assert min(page for page in qdrant.pages if page) > 4_000
        assert "already imported" in afterglow(qdrant, *source)[1]
        assert afterglow(qdrant, "export", "books", str(file), "--path", data)[0] == 0
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(records) == ROWS
    assert {record["id"]: (record["embedding"], record["document"], record["metadata"]) for record in records} == {
        str(number): ([number / 8, 1.0], f"text {number}", {"n": number}) for number in range(ROWS)
    }
