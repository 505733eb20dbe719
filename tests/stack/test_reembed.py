"""`afterglow reembed` and the commands that look at an account, over a deployment whose clients go on."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection
from chromadb.errors import NotFoundError

from afterglow.embedding.onnx_model import OnnxModel
from afterglow.settings import LAMBDA_DEFAULTS
from tests.stack.test_deploy import call, eventually, invoke
from tests.support.commands import run_command
from tests.support.deployment import ACCOUNT, Deployment, client
from tests.support.onnx_files import DIMENSION, WORDS
from tests.support.server import script

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

NAME, RECORDS, BATCH = "books", 4_500, 300
COPIED = 200
"""Records that the copy has when the first run is killed, at least."""
PAUSE_SECONDS = 0.5
"""Between two writes of the writer."""


def text(number: int) -> str:
    """A document of its own, as far as the model's words suffice."""
    words = WORDS[4:]
    return " ".join(words[number // len(words) ** place % len(words)] for place in range(3))


def variables(stack: Deployment, folder: Path) -> dict[str, str]:
    """What a command needs to work on the account from a machine elsewhere."""
    return {
        **stack.aws.environment(ACCOUNT),
        "AFTERGLOW_TABLE": stack.outputs["Table"],
        "AFTERGLOW_BUCKET": stack.outputs["Bucket"],
        "AFTERGLOW_QUEUE": stack.outputs["Queue"],
        "AFTERGLOW_CACHE_DIR": str(folder / "cache"),
    }


class Writer:
    """Upserts and deletes records of the old dimension, until the collection is another one."""

    def __init__(self, collection: Collection, documents: dict[str, str]) -> None:
        self.documents = documents
        """Of each record, as acknowledged."""
        self.writes = 0
        self._collection = collection
        self._end = threading.Event()

    def run(self) -> None:
        """Write until `stop`, or until the name has to be asked for again."""
        number = 0
        while not self._end.is_set():
            number += 1
            ids = [f"new-{number}", f"old-{number * 7 % RECORDS}"]
            documents = [text(number), text(number + RECORDS)]
            try:
                self._collection.upsert(ids=ids, embeddings=np.ones((2, 8), np.float32), documents=documents)
                self.documents.update(zip(ids, documents, strict=True))
                if number % 5 == 0:
                    self._collection.delete(ids=[ids[0]])
                    del self.documents[ids[0]]
            except NotFoundError:
                return
            except Exception as error:
                if '"Backoff"' not in str(error):  # held for the swap; the client has no class for it
                    raise
            else:
                self.writes += 1
            self._end.wait(PAUSE_SECONDS)

    def stop(self) -> None:
        """End it."""
        self._end.set()


def killed_midway(arguments: Sequence[str], environment: dict[str, str], is_midway: Callable[[], bool]) -> None:
    """Start a command, and kill it once it is midway."""
    with subprocess.Popen([script("afterglow"), *arguments], env={**os.environ, **environment}) as process:
        try:
            while not is_midway():
                assert process.poll() is None, "it ended before it was midway"
                time.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)


def filled(stack: Deployment, chroma: ClientAPI) -> Collection:
    """A collection with a segment and a log."""
    collection = chroma.create_collection(NAME, embedding_function=None, metadata={"about": "books"})
    vectors = np.random.default_rng(1).normal(size=(RECORDS, 8)).astype(np.float32)
    for start in range(0, RECORDS, BATCH):
        if start == RECORDS - BATCH:
            invoke(stack, "MaintenanceFunction", {"task": "enqueue_stale"})
            eventually(lambda: collection.get_indexing_status().num_unindexed_ops == 0, "not indexed", stack)
        rows = range(start, start + BATCH)
        collection.add(
            ids=[f"old-{row}" for row in rows],
            embeddings=vectors[start : start + BATCH],
            documents=[text(row) for row in rows],
            metadatas=[{"row": row} for row in rows],
        )
    return collection


def test_a_collection_is_embedded_anew_while_it_is_written(
    texts: Deployment, model: Path, archive: bytes, tmp_path: Path
) -> None:
    key = LAMBDA_DEFAULTS.embedding_model_archive
    client(texts.aws, "s3").put_object(Bucket=texts.outputs["Bucket"], Key=key, Body=archive)
    environment = variables(texts, tmp_path)
    with texts.client() as chroma, texts.client() as writing, ThreadPoolExecutor(1) as pool:
        old = filled(texts, chroma)
        documents = {f"old-{row}": text(row) for row in range(RECORDS)}
        writer = Writer(writing.get_collection(NAME, embedding_function=None), documents)
        written = pool.submit(writer.run)
        try:
            copy, printed = reembedded(chroma, environment, model, written)
            # The writer is refused, and asks for the name again.
            written.result(60)
        finally:
            writer.stop()
        print(f"{writer.writes} writes meanwhile")
        assert writer.writes >= 3
        found = chroma.get_collection(NAME, embedding_function=None)
        assert found.id == copy.id != old.id
        assert found.metadata == {"about": "books"}
        check(found, writer.documents, model)
        asked = call(chroma, "POST", f"/collections/{found.id}/query", {"query_texts": [text(1)], "n_results": 1})
        assert asked.json()["distances"][0][0] == pytest.approx(0, abs=1e-4)

        # The old one comes back under another name.
        assert printed.splitlines()[-1].split() == ["afterglow", "restore", str(old.id), "--name", f"{NAME}-old"]
        succeeds(environment, "restore", str(old.id), "--name", f"{NAME}-old")
        assert chroma.get_collection(f"{NAME}-old").count() == len(writer.documents)


def reembedded(
    chroma: ClientAPI, environment: dict[str, str], model: Path, written: "Future[None]"
) -> tuple[Collection, str]:
    """Move it, in two runs: one with the stack's function, which is killed, and one with the model here.

    The copy as it was between both, and what the second run printed.
    """
    copies: list[Collection] = []

    def is_midway() -> bool:
        if not copies:
            found = {found.name for found in chroma.list_collections()} & {f"{NAME}-reembedded"}
            copies.extend(chroma.get_collection(name, embedding_function=None) for name in found)
        return any(copy.count() >= COPIED for copy in copies)

    arguments = ("reembed", NAME, "--to", "default", "--aws")
    killed_midway(arguments, {**environment, "AFTERGLOW_EMBEDDING_LAMBDA": "texts-embedder"}, is_midway)
    assert not written.done()
    (copy,) = copies
    assert COPIED <= copy.count() < RECORDS
    swapped = run_command(*arguments, env={**environment, "AFTERGLOW_EMBEDDING_MODEL_DIR": str(model)})
    assert swapped.returncode == 0, swapped.stderr
    assert f"records of {DIMENSION} dimensions; overlap@10 of 100 queries" in swapped.stdout
    return copy, swapped.stdout


def check(collection: Collection, documents: dict[str, str], model: Path) -> None:
    """The records with these documents, each with its vector, and no others."""
    assert collection.count() == len(documents)
    runner = OnnxModel(model, 1)
    for start in range(0, len(documents), BATCH):
        ids = list(documents)[start : start + BATCH]
        found = collection.get(ids=ids, include=["documents", "embeddings"])
        assert found["documents"] is not None
        assert found["embeddings"] is not None
        assert dict(zip(found["ids"], found["documents"], strict=True)) == {name: documents[name] for name in ids}
        np.testing.assert_allclose(found["embeddings"], runner.embed(found["documents"]).vectors, atol=1e-5)


def succeeds(environment: dict[str, str], *arguments: str) -> str:
    """What a command prints, that works on the account."""
    done: CompletedProcess[str] = run_command(*arguments, "--aws", env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_commands_that_look_at_an_account(texts: Deployment, tmp_path: Path) -> None:
    environment = variables(texts, tmp_path)
    with texts.client() as chroma:
        collection = chroma.create_collection("looked-at", embedding_function=None)
        collection.add(ids=["a", "b", "c"], embeddings=np.eye(3, dtype=np.float32), metadatas=[{"user": 1}] * 3)
        assert re.search(r"looked-at +3 +3 +l2 +3\n", succeeds(environment, "status"))
        assert re.search(rf"looked-at +3 +3 +l2 +{collection.id}\n", succeeds(environment, "collections", "list"))
        assert '"unindexed_operations": 3' in succeeds(environment, "collections", "show", "looked-at")
        assert re.search(r"\n0 +b\n", succeeds(environment, "query", "looked-at", "--like", "b", "-n", "1"))

        erased = succeeds(environment, "erase", "looked-at", "b", "--yes")
        (erasure,) = re.findall(r"erasure (\S+): 1 id deleted", erased)
        assert f"{erasure}: 1 records of collection {collection.id}" in succeeds(environment, "erasures")
        invoke(texts, "MaintenanceFunction", {"task": "enqueue_stale"})
        eventually(lambda: collection.get_indexing_status().num_unindexed_ops == 0, "not indexed", texts)
        invoke(texts, "MaintenanceFunction", {"task": "clean_up"})
        assert collection.get(include=[])["ids"] == ["a", "c"]
        print(succeeds(environment, "erasures", erasure))
        assert re.search(r"looked-at: 2 records, .*: ok\n", succeeds(environment, "verify", "looked-at"))
