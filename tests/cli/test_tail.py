"""`tail`: the changes of a collection, from a directory and from a server."""

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from afterglow.collection import Batch, Op
from afterglow.collection.types import Scope
from afterglow.deployment.local import open_local
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System
from tests.cli.test_inspect import DATABASE, TENANT, data, run, target
from tests.support.server import running, script
from tests.support.wire import DATABASE as PATH

__all__ = ["data", "run", "target"]


def positions_of(text: str) -> list[int]:
    return [json.loads(line)["position"] for line in text.splitlines()]


def write_more(data: Path, count: int, settings: Settings) -> None:
    system = System()
    engine = start_engine(open_local(data, system), settings, system)
    try:
        scope = Scope(TENANT, DATABASE, engine.get_collection(TENANT, DATABASE, "books").id)
        for number in range(count):
            engine.write(scope, Batch(Op.UPSERT, [f"n{number}"], vectors=np.ones((1, 2), np.float32)))
    finally:
        engine.close()


def check(run: Callable[..., str], target: list[str]) -> None:
    assert positions_of(run("tail", "books", *target)) == list(range(6, 16))
    assert positions_of(run("tail", "books", "-n", "3", *target)) == [13, 14, 15]
    assert run("tail", "books", "-n", "0", *target) == ""
    (first, *_) = run("tail", "books", "--after", "0", *target).splitlines()
    assert json.loads(first)["records"]["ids"] == ["a", "b", "c"]
    assert len(run("tail", "books", "-n", "100", *target).splitlines()) == 15


def test_tail_of_a_directory(data: Path, run: Callable[..., str]) -> None:
    write_more(data, 14, Settings())
    check(run, ["--path", str(data)])


@pytest.mark.slow
def test_tail_of_a_server(data: Path, run: Callable[..., str]) -> None:
    write_more(data, 14, Settings())
    with running(data) as server:
        url = f"http://{server.host}:{server.port}"
        check(run, ["--url", url])
        follow_a_server(url)


def follow_a_server(url: str) -> None:
    command = [script("afterglow"), "tail", "books", "-n", "0", "--follow", "--url", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        stopped = threading.Event()

        def write() -> None:
            path = f"{url}{PATH}/collections"
            collection = httpx.get(f"{path}/books").json()["id"]
            while not stopped.wait(0.3):
                httpx.post(f"{path}/{collection}/delete", json={"ids": ["x"]}).raise_for_status()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        finally:
            stopped.set()
            writer.join()
            process.kill()
    first = lines[0]["position"]
    assert [line["position"] for line in lines] == [first, first + 1, first + 2]
    assert lines[0]["operation"] == "delete"


def test_tail_begins_with_the_oldest_position_that_is_stored(
    data: Path, run: Callable[..., str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_more(data, 5, Settings(retention_seconds=0.0))
    monkeypatch.setenv("AFTERGLOW_RETENTION_SECONDS", "0")
    run("compact", "books", "--path", str(data))
    assert run("tail", "books", "--path", str(data)) == ""
    with pytest.raises(SystemExit):
        run("tail", "books", "--after", "0", "--path", str(data))
    assert "the oldest position is 6" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("tail", "papers", "--path", str(data))
    with pytest.raises(SystemExit):
        run("tail", "books", "--after", "99", "--path", str(data))
    assert "position 99 does not exist yet" in capsys.readouterr().err
