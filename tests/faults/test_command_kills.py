"""`kill -9` of commands at random moments, again and again, until one run is left alone: nothing is lost or doubled.

The commands that run in steps: `import`, `erase`, `reembed`, `rescue --into`. Each is started, killed with all its
children after a random time, and started again with the same arguments, until it is done; then it begins in another
folder, until enough kills have hit it. AFTERGLOW_CRASH_SEED replays the times.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from tests.bulk.chroma_directory.make import ARCHIVE
from tests.faults.test_crash import BUSY_BACKGROUND, _seed
from tests.support.commands import run_command
from tests.support.onnx_files import DIMENSION, WORDS, write_model
from tests.support.server import reap, running, script
from tests.support.wire import Wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = int(os.environ.get("AFTERGLOW_CRASH_ROUNDS", "50")) // 5
"""Kills of each command."""
_KILLS_OF_ONE = 5
ENV = {**BUSY_BACKGROUND, "AFTERGLOW_IMPORT_RANGE_BYTES": "20000", "AFTERGLOW_MAX_BATCH_SIZE": "50"}
SECRET = "a sentence about a person"


def _run_killed(command: list[str], seconds: float, env: Mapping[str, str]) -> bool:
    """Run a command and kill it and its children after a time; whether it was done before."""
    process = subprocess.Popen(
        [script("afterglow"), *command],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGKILL)
            reap(children)
        process.communicate()
        return False
    assert process.returncode == 0, output.decode()
    return True


def _kill_until_done(
    command: list[str], env: Mapping[str, str], chance: random.Random, longest: float, check: Callable[[], object]
) -> int:
    """Run a command until it is done, killing it up to five times, after each of which `check` looks; how many."""
    for kills in range(_KILLS_OF_ONE):
        if _run_killed(command, chance.uniform(0.2, longest), env):
            return kills
        check()
    assert _run_killed(command, 300, env)
    return _KILLS_OF_ONE


def _repeat(folder: Path, scenario: Callable[[Path, random.Random], int]) -> None:
    """Play a scenario in new folders until `KILLS` kills have hit it."""
    seed, kills = _seed(), 0
    chance = random.Random(seed)
    for number in range(10 * KILLS):
        own = folder / str(number)
        own.mkdir()
        try:
            kills += scenario(own, chance)
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
        if kills >= KILLS:
            return
    raise AssertionError(f"seed {seed}: only {kills} kills in {10 * KILLS} runs")


def _verify(data: Path) -> None:
    verified = run_command("verify", "--path", str(data))
    assert verified.returncode == 0, verified.stdout + verified.stderr


def _records(data: Path, name: str, env: Mapping[str, str] = ENV) -> dict[str, tuple[str | None, object]]:
    """Document and metadata of each record, as a server answers them; none without the collection."""
    with running(data, env=env) as server, server.client() as client:
        wire = Wire(client)
        ids = {collection["name"]: collection["id"] for collection in wire.call("GET", "/collections")}
        if name not in ids:
            return {}
        found = wire.get(ids[name])
        assert len(set(found["ids"])) == len(found["ids"])
        return dict(zip(found["ids"], zip(found["documents"], found["metadatas"], strict=True), strict=True))


def _file(path: Path, rows: int) -> dict[str, tuple[str | None, object]]:
    """A file of records for `import`, and what is in it."""
    expected: dict[str, tuple[str | None, object]] = {}
    with path.open("w") as file:
        for number in range(rows):
            document, metadata = f"document {number} " + "text " * (number % 40), {"number": number}
            expected[f"row-{number}"] = (document, metadata)
            row = {"id": f"row-{number}", "embedding": [number % 7, 1, number % 11], "document": document, **metadata}
            file.write(json.dumps(row) + "\n")
    return expected


def _import(folder: Path, chance: random.Random) -> int:
    """Every row exactly once; meanwhile whole rows only."""
    data, file = folder / "data", folder / "rows.jsonl"
    expected = _file(file, 6_000)

    def check() -> None:
        found = _records(data, "rows")
        assert all(expected[name] == record for name, record in found.items())

    command = ["import", str(file), "--collection", "rows", "--path", str(data)]
    kills = _kill_until_done(command, ENV, chance, 3.0, check)
    assert _records(data, "rows") == expected
    _verify(data)
    return kills


def _erase(folder: Path, chance: random.Random) -> int:
    """The person's records are gone from the collection, its fork and every file; those of others are all there."""
    data, file = folder / "data", folder / "rows.jsonl"
    expected = _file(file, 300)
    assert run_command("import", str(file), "--collection", "rows", "--path", str(data), env=ENV).returncode == 0
    people = [f"person-{number}" for number in range(60)]
    with running(data, env=ENV) as server, server.client() as client:
        wire = Wire(client)
        rows = wire.create("rows")
        vectors, documents = [[1.0, 2.0, 3.0]] * len(people), [SECRET] * len(people)
        wire.write(rows, "add", {"ids": people, "embeddings": vectors, "documents": documents})
        wire.call("POST", f"/collections/{rows}/fork", {"new_name": "forked"})

    def check() -> None:
        left = _records(data, "rows").keys() - expected.keys()
        assert left in (set(), set(people)), "a part of the records is erased"

    command = ["erase", "rows", *people, "--yes", "--path", str(data)]
    kills = _kill_until_done(command, ENV, chance, 0.6, check)
    for _ in range(3):
        assert run_command("compact", "--path", str(data), env=ENV).returncode == 0
    assert _records(data, "rows") == _records(data, "forked") == expected
    _verify(data)
    traces = [path for path in data.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert traces == []
    return kills


def _reembed(folder: Path, chance: random.Random) -> int:
    """The collection of the name has all records, whole: before the swap the old vectors, after it the new ones."""
    env = {**ENV, "AFTERGLOW_EMBEDDING_MODEL_DIR": str(write_model(folder / "model"))}
    data, words = folder / "data", WORDS[4:]
    documents = [" ".join(chance.choice(words) for _ in range(12)) for _ in range(1_500)]
    expected = {f"r{number}": (document, {"n": number}) for number, document in enumerate(documents)}
    with running(data, env=env) as server, server.client() as client:
        wire = Wire(client)
        pets = wire.create("pets")
        for first in range(0, len(documents), 50):
            part = range(first, first + 50)
            body = {
                "ids": [f"r{number}" for number in part],
                "embeddings": [[number, 1] for number in part],
                "documents": [documents[number] for number in part],
                "metadatas": [{"n": number} for number in part],
            }
            wire.write(pets, "add", body)

    def check() -> None:
        assert _records(data, "pets", env) == expected

    kills = _kill_until_done(["reembed", "pets", "--to", "default", "--path", str(data)], env, chance, 5.0, check)
    check()
    with running(data, env=env) as server, server.client() as client:
        assert Wire(client).call("GET", "/collections/pets")["dimension"] == DIMENSION
    _verify(data)
    return kills


def _rescue(folder: Path, chance: random.Random) -> int:
    """The directory of Chroma does not change; all of its records are saved, exactly once."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, [member for member in archive if "1.5.9" in member.name], filter="data")
    source, data = folder / "1.5.9", folder / "data"
    plain = json.loads((folder / "1.5.9.json").read_text())["plain"]["records"]
    before = _digests(source)

    def check() -> None:
        assert all(plain[name][1] == record[0] for name, record in _records(data, "plain").items())

    kills = _kill_until_done(["rescue", str(source), "--into", str(data)], ENV, chance, 2.0, check)
    check()
    assert _records(data, "plain").keys() == plain.keys()
    assert _digests(source) == before
    _verify(data)
    return kills


def _digests(folder: Path) -> dict[Path, bytes]:
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("scenario", [_import, _erase, _reembed, _rescue])
def test_a_command_that_is_killed_goes_on(tmp_path: Path, scenario: Callable[[Path, random.Random], int]) -> None:
    _repeat(tmp_path, scenario)
