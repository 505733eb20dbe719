"""The process of a local model: `python -m afterglow.embedding.onnx_worker FOLDER THREADS KIND`.

It sends one message when the model is loaded, `{"dimension": d}`, or `{"error": text}` before it ends. Then it answers
requests (`deployment.child_process`), in any order::

    {"id": n, "purpose": "query", "texts": […]}    →    {"id": n, "rows": m, "vectors": base64, "truncated": t}
                                                        {"id": n, "error": text}
    {"id": n}                                          →    {"id": n}                               at once: a ping

Those to a cross-encoder have a `query`, too, and its vectors are the scores of the texts.

Queries have a thread of their own, so that one waits at most for the cores and never behind documents; documents are
computed by a thread of lower priority. Searches run in another process, which the operating system prefers to both.
"""

import os
import sys
import threading
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from afterglow.deployment.child_process import ParentConnection
from afterglow.embedding.embedder import Embedded, ModelKind, Purpose

_DOCUMENT_NICENESS = 10


def main() -> None:
    """Load the model, then answer until standard input ends."""
    connection = ParentConnection()
    sending = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        with sending:
            connection.send(message)

    try:
        dimension, run = _load(Path(sys.argv[1]), int(sys.argv[2]), ModelKind(sys.argv[3]))
    except Exception as error:  # noqa: BLE001 - the libraries raise errors of many types; the parent reports the text
        send({"error": f"{type(error).__name__}: {error}"})
        connection.exit(1)
        return

    def answer(request: dict[str, Any]) -> None:
        try:
            embedded = run(request)
        except Exception as error:  # noqa: BLE001 - one bad text must not end the process
            send({"id": request["id"], "error": f"{type(error).__name__}: {error}"})
            return
        vectors = b64encode(embedded.vectors.astype("<f4").tobytes()).decode()
        rows = len(embedded.vectors)
        send({"id": request["id"], "rows": rows, "vectors": vectors, "truncated": embedded.truncated})

    threads = {
        Purpose.QUERY: ThreadPoolExecutor(1, "queries"),
        Purpose.DOCUMENT: ThreadPoolExecutor(1, "documents", initializer=_lower_priority),
    }
    send({"dimension": dimension})
    while True:
        request = connection.receive()
        if "purpose" not in request:
            send({"id": request["id"]})
            continue
        threads[Purpose(request["purpose"])].submit(answer, request)


def _load(folder: Path, threads: int, kind: ModelKind) -> tuple[int, Callable[[dict[str, Any]], Embedded]]:
    """The dimension of the model's vectors, and what answers a request."""
    if kind is ModelKind.CROSS_ENCODER:
        from afterglow.embedding.cross_encoder import CrossEncoder

        scorer = CrossEncoder(folder, threads)
        return scorer.dimension, lambda request: scorer.score(request["query"], request["texts"])
    from afterglow.embedding.onnx_model import OnnxModel

    encoder = OnnxModel(folder, threads)
    return encoder.dimension, lambda request: encoder.embed(request["texts"])


def _lower_priority() -> None:
    # Linux has priorities per thread. Elsewhere the process keeps that of its start.
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _DOCUMENT_NICENESS)


if __name__ == "__main__":
    main()
