"""`kill -9` of commands at random moments, again and again, until one run is left alone: nothing is lost or doubled.

The commands that run in steps: `import`, `erase`, `reembed`, `rescue --into`. Each is started, killed with all its
children after a random time, and started again with the same arguments. AFTERGLOW_CRASH_SEED replays the times.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
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


def _killed_often(command: list[str], env: Mapping[str, str], longest: float) -> Iterator[None]:
    """Yields after each of `KILLS` kills; what is stored can be looked at then. The last run is left alone."""
    seed = _seed()
    chance, killed = random.Random(seed), 0
    for _ in range(KILLS):
        killed += not _run_killed(command, chance.uniform(0.1, longest), env)
        yield
    assert killed, f"seed {seed}: every run was faster than its kill"
    assert _run_killed(command, 300, env)


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


def test_import(tmp_path: Path) -> None:
    """Every row exactly once; meanwhile whole rows only."""
    data, file = tmp_path / "data", tmp_path / "rows.jsonl"
    expected = _file(file, 6_000)
    command = ["import", str(file), "--collection", "rows", "--path", str(data)]
    for number, _ in enumerate(_killed_often(command, ENV, 4.0)):
        if number % 5 == 4:
            found = _records(data, "rows")
            assert all(expected[name] == record for name, record in found.items())
    assert _records(data, "rows") == expected
    _verify(data)


def test_erase(tmp_path: Path) -> None:
    """The person's records are gone from the collection, its fork and every file; those of others are all there."""
    data, file = tmp_path / "data", tmp_path / "rows.jsonl"
    expected = _file(file, 300)
    assert run_command("import", str(file), "--collection", "rows", "--path", str(data), env=ENV).returncode == 0
    secrets = [f"person-{number}" for number in range(60)]
    with running(data, env=ENV) as server, server.client() as client:
        wire = Wire(client)
        rows = wire.create("rows")
        vectors, documents = [[1.0, 2.0, 3.0]] * len(secrets), [SECRET] * len(secrets)
        wire.write(rows, "add", {"ids": secrets, "embeddings": vectors, "documents": documents})
        wire.call("POST", f"/collections/{rows}/fork", {"new_name": "forked"})
    command = ["erase", "rows", *secrets, "--yes", "--path", str(data)]
    for number, _ in enumerate(_killed_often(command, ENV, 2.5)):
        if number % 5 == 4:
            left = _records(data, "rows").keys() - expected.keys()
            assert left in (set(), set(secrets)), "a part of the records is erased"
    for _ in range(3):
        assert run_command("compact", "--path", str(data), env=ENV).returncode == 0
    assert _records(data, "rows") == _records(data, "forked") == expected
    _verify(data)
    traces = [path for path in data.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert traces == []


def test_reembed(tmp_path: Path) -> None:
    """The collection of the name has all records, whole: before the swap the old vectors, after it the new ones."""
    env = {**ENV, "AFTERGLOW_EMBEDDING_MODEL_DIR": str(write_model(tmp_path / "model"))}
    data, chance = tmp_path / "data", random.Random(5)
    words = WORDS[4:]
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
    # The swapped collection would be embedded anew by another run.
    command = ["reembed", "pets", "--to", "default", "--no-swap", "--path", str(data)]
    for number, _ in enumerate(_killed_often(command, env, 6.0)):
        if number % 5 == 4:
            assert _records(data, "pets", env) == expected
    swap = [*command[:4], *command[5:]]
    seed = _seed()
    moments = random.Random(seed)
    for _ in range(KILLS):
        if _run_killed(swap, moments.uniform(1.0, 4.0), env):
            break
        assert _records(data, "pets", env) == expected
    else:
        assert _run_killed(swap, 300, env)
    assert _records(data, "pets", env) == expected
    with running(data, env=env) as server, server.client() as client:
        assert Wire(client).call("GET", "/collections/pets")["dimension"] == DIMENSION
    _verify(data)


def test_rescue(tmp_path: Path) -> None:
    """The directory of Chroma does not change; all of its records are saved, exactly once."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, [member for member in archive if "1.5.9" in member.name], filter="data")
    source, data = tmp_path / "1.5.9", tmp_path / "data"
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in source.rglob("*") if path.is_file()}
    command = ["rescue", str(source), "--into", str(data)]
    for _ in _killed_often(command, ENV, 3.0):
        pass
    plain = json.loads((tmp_path / "1.5.9.json").read_text())["plain"]["records"]
    found = _records(data, "plain")
    assert found.keys() == plain.keys()
    assert all(found[name][0] == record[1] for name, record in plain.items())
    assert before == {path: hashlib.sha256(path.read_bytes()).digest() for path in source.rglob("*") if path.is_file()}
    _verify(data)
