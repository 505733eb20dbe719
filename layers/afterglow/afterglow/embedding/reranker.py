"""The reranker of a process: scores documents against a query by a cross-encoder on this machine.

The model is the operator's: the folder AFTERGLOW_RERANKER_MODEL_DIR, which no request can name. Without one, searches
that rerank are refused. Like the embedding model it runs in a process of its own, which the first request starts, and
has its own queue, so a search that reranks waits neither for documents nor in the way of other searches.
"""

import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afterglow.embedding import model_archive
from afterglow.embedding.admission import AdmissionQueue
from afterglow.embedding.embedder import ModelKind, Purpose
from afterglow.embedding.onnx_process import OnnxProcess
from afterglow.errors import InvalidArgument, Unavailable
from afterglow.metering import current_usage, phase
from afterglow.settings import Settings, System

MAX_CHARACTERS = 8_192
"""What is read of a query and of a document: more than the model's 512 tokens, and less than a megabyte to tokenise."""
_MAX_PENDING_DOCUMENTS = 2_048


class Reranker:
    """Safe for any number of threads."""

    def __init__(self, settings: Settings, system: System) -> None:
        self._folder = settings.reranker_model_dir
        self._threads = max(1, settings.embedding_threads)
        self._seconds = settings.reranker_timeout_seconds
        self._system = system
        self._queue = AdmissionQueue(_MAX_PENDING_DOCUMENTS, system, ": retry later")
        self._lock = threading.Lock()
        self._process: OnnxProcess | None = None

    def check(self) -> None:
        """Raises InvalidArgument if this server has no reranker."""
        if not self._folder:
            raise InvalidArgument(
                "this server does not rerank, because it has no cross-encoder: its operator can name the folder of "
                "one by AFTERGLOW_RERANKER_MODEL_DIR"
            )
        missing = [name for name in ("onnxruntime", "tokenizers") if find_spec(name) is None]
        if missing:
            raise InvalidArgument(
                f"this server cannot rerank, because {' and '.join(missing)} is not installed: "
                f"pip install 'afterglow-db[embed]'"
            )

    def score(self, query: str, documents: Sequence[str]) -> NDArray[np.float32]:
        """How well each document answers the query, float32 (n,), greater for a better answer.

        Raises InvalidArgument, Busy, Unavailable.
        """
        if not documents:
            return np.empty(0, dtype=np.float32)
        process = self._running_process()
        texts = [document[:MAX_CHARACTERS] for document in documents]
        with self._queue.admit(len(texts)), phase("rerank"):
            deadline = self._system.monotonic() + self._seconds
            scored = process.embed(texts, Purpose.QUERY, deadline, query=query[:MAX_CHARACTERS])
        scores = scored.vectors[:, 0]
        if not np.isfinite(scores).all():
            raise Unavailable("the reranker returned an invalid score")
        usage = current_usage()
        if usage is not None:
            usage.count("rerank.documents", len(texts))
        return scores

    def close(self) -> None:
        """End the model's process; the next call starts it again."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.close()

    def _running_process(self) -> OnnxProcess:
        self.check()
        with self._lock:
            if self._process is None:
                folder = Path(self._folder)
                files = model_archive.find(folder)
                if files is None:
                    raise Unavailable(
                        f"there is no reranker in {folder} (AFTERGLOW_RERANKER_MODEL_DIR): it needs model.onnx and "
                        f"tokenizer.json",
                        60,
                    )
                self._process = OnnxProcess(files, self._threads, self._system, ModelKind.CROSS_ENCODER)
            return self._process
