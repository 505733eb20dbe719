"""The default model on this machine: found or fetched, then run in a process of its own.

The folder is AFTERGLOW_EMBEDDING_MODEL_DIR. A model that is missing in a folder of its own name, such as that of
Chroma's clients, the default, is fetched by a thread when the first text needs it. Until then texts get 503 with the
progress and a time to retry, as no request should wait for 80 MB; the log has the progress, too.
"""

import logging
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from afterglow.embedding import model_archive
from afterglow.embedding.embedder import Embedded, Purpose
from afterglow.embedding.onnx_process import OnnxProcess
from afterglow.errors import AfterglowError, InvalidArgument, Unavailable
from afterglow.settings import Settings, System

_log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 3.0
"""How long a request waits for a fetch that may be about to end."""
_RETRY_AFTER_SECONDS = 5.0
_LOG_EVERY_BYTES = 10_000_000


class LocalModel:
    """The embedder of the local model."""

    def __init__(self, settings: Settings, system: System) -> None:
        """Raises InvalidArgument if a library is missing."""
        missing = [name for name in ("onnxruntime", "tokenizers") if find_spec(name) is None]
        if missing:
            raise InvalidArgument(
                f"this server cannot run its local embedding model, because {' and '.join(missing)} is not installed: "
                f"pip install 'afterglow-db[embed]'"
            )
        self._folder = Path(settings.embedding_model_dir).expanduser()
        self._may_fetch = settings.embedding_fetch_model and self._folder.name == model_archive.NAME
        self._threads = max(1, settings.embedding_threads)
        self._system = system
        self._lock = threading.Lock()
        self._process: OnnxProcess | None = None
        self._fetch: _Fetch | None = None

    def embed(self, texts: Sequence[str], purpose: Purpose, deadline: float) -> Embedded:
        """The vectors of the texts. Raises Unavailable, StorageFull."""
        return self._running_process(deadline).embed(texts, purpose, deadline)

    def close(self) -> None:
        """End the process. A fetch goes on until this process ends, and is finished by the next."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.close()

    def _running_process(self, deadline: float) -> OnnxProcess:
        with self._lock:
            if self._process is not None:
                return self._process
            files = model_archive.find(self._folder)
            if files is not None:
                self._process = OnnxProcess(files, self._threads, self._system)
                return self._process
            if not self._may_fetch:
                raise Unavailable(
                    f"there is no embedding model in {self._folder} (AFTERGLOW_EMBEDDING_MODEL_DIR): it needs "
                    f"model.onnx and tokenizer.json",
                    60,
                )
            if self._fetch is None:
                self._fetch = _Fetch(self._folder)
            fetch = self._fetch
        patience = min(_PATIENCE_SECONDS, deadline - self._system.monotonic())
        if not fetch.done.wait(max(0.0, patience)):
            raise Unavailable(f"the embedding model is being fetched ({fetch.progress()})", _RETRY_AFTER_SECONDS)
        with self._lock:
            if self._fetch is fetch:
                self._fetch = None  # after a failure, the next text tries again
        if fetch.error is not None:
            raise fetch.error
        return self._running_process(deadline)


class _Fetch:
    """A fetch in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.done = threading.Event()
        self.error: AfterglowError | None = None
        self._folder = folder
        self._received, self._total, self._logged = 0, 0, 0
        threading.Thread(target=self._run, name="afterglow-model", daemon=True).start()

    def progress(self) -> str:
        """The megabytes so far."""
        total = f"{self._total / 1e6:.0f}" if self._total else "about 80"
        return f"{self._received / 1e6:.0f} of {total} MB"

    def _run(self) -> None:
        _log.info("fetching the embedding model %s into %s", model_archive.NAME, self._folder)
        try:
            model_archive.fetch(self._folder, model_archive.MINI_LM, self._report)
            _log.info("the embedding model is complete")
        except AfterglowError as error:
            _log.warning("%s", error)
            self.error = error
        finally:
            self.done.set()

    def _report(self, received: int, total: int) -> None:
        self._received, self._total = received, total
        if received - self._logged >= _LOG_EVERY_BYTES:
            self._logged = received
            _log.info("fetching the embedding model: %s", self.progress())
