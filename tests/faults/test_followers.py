"""A follower of a collection, over kills of the server: it ends with the records of the collection.

AFTERGLOW_FOLLOWED_WRITES sets how many records are written and deleted (10,000 by default).
"""

import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.faults.test_crash import BUSY_BACKGROUND
from tests.support.server import HOST, free_port, reap, start
from tests.support.wire import DATABASE

KILLS = 3
WRITES = int(os.environ.get("AFTERGLOW_FOLLOWED_WRITES", "10000"))
"""Records that are written or deleted, with an acknowledgement; each kill comes after as many."""
FIELDS = ["documents", "embeddings", "metadatas"]


class Follower(threading.Thread):
    """Applies each change to a copy of the records, and goes on after errors where it has stopped."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path, self.end = path, threading.Event()
        self.after, self.expected = "0", 1
        self.copy: dict[str, list[Any]] = {}
        self.failure: str | None = None

    def run(self) -> None:
        try:
            with httpx.Client(timeout=20) as client:
                while not self.end.is_set():
                    self._read(client)
        except AssertionError as error:
            self.failure = str(error)

    def _read(self, client: httpx.Client) -> None:
        try:
            response = client.get(self.path, params={"after": self.after, "wait": 1, "limit": 70})
            if response.status_code in (429, 503):
                time.sleep(0.05)
                return
        except httpx.TransportError:
            time.sleep(0.05)
            return
        assert response.status_code == 200, response.text
        for line in response.text.splitlines():
            self._apply(orjson.loads(line))

    def _apply(self, line: dict[str, Any]) -> None:
        assert line["position"] == self.expected, (line["position"], self.expected)
        assert line["offset"] == 0
        self.expected, self.after = self.expected + 1, line["next"]
        records = line["records"]
        for row, name in enumerate(records["ids"]):
            if line["operation"] == "delete":
                self.copy.pop(name, None)
            else:
                self.copy[name] = [records[field][row] for field in FIELDS]


@pytest.mark.slow
def test_a_follower_survives_kills_of_the_server(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "data"
    url = f"http://{HOST}:{port}{DATABASE}/collections"
    chance, acknowledged, written = random.Random(11), 0, 0
    survivors: list[Any] = []
    server = start(folder, env=BUSY_BACKGROUND, port=port)
    created = httpx.post(url, json={"name": "followed"}).json()["id"]
    follower = Follower(f"{url}/{created}/changes")
    follower.start()
    try:
        for number in range(KILLS):
            goal = WRITES * (number + 1) // KILLS
            killer = threading.Thread(target=lambda running=server: survivors.extend(running.kill(children=False)))
            with httpx.Client(timeout=20) as client:
                while killer.ident is None or killer.is_alive():
                    names = [f"r{chance.randrange(300)}" for _ in range(chance.choice([1, 5, 40, 80]))]
                    names = list(dict.fromkeys(names))
                    body: dict[str, Any] = {
                        "ids": names,
                        "embeddings": [[chance.random(), float(number)] for _ in names],
                        "documents": ["d" * chance.randrange(300) for _ in names],
                        "metadatas": [{"number": acknowledged} for _ in names],
                    }
                    operation = "delete" if chance.random() < 0.2 else "upsert"
                    try:
                        status = client.post(
                            f"{url}/{created}/{operation}", json={"ids": names} if operation == "delete" else body
                        ).status_code
                    except httpx.TransportError:
                        break
                    acknowledged += status == 200
                    written += len(names) if status == 200 else 0
                    if written >= goal and killer.ident is None:
                        killer.start()
            killer.join()
            server = start(folder, env=BUSY_BACKGROUND, port=port)
        count = httpx.get(f"{url}/{created}/count")
        deadline = time.monotonic() + 60 + WRITES / 1000
        while follower.after != count.headers["afterglow-log-position"] and follower.is_alive():
            assert time.monotonic() < deadline, (follower.after, count.headers["afterglow-log-position"])
            time.sleep(0.05)
        follower.end.set()
        follower.join()
        assert follower.failure is None
        assert follower.expected > acknowledged > KILLS
        assert written >= WRITES
        found = httpx.post(f"{url}/{created}/get", json={"include": FIELDS}).json()
        columns = [found[field] for field in FIELDS]
        assert follower.copy == {name: list(row) for name, *row in zip(found["ids"], *columns, strict=True)}
    finally:
        follower.end.set()
        server.stop()
        reap(survivors)
