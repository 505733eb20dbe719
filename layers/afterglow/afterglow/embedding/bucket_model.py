"""The other end of `invoked_model`: a function that embeds by a model whose archive is in the bucket.

1. The first call reads the archive into the folder of temporary files, and compares its SHA-256.
2. It is unpacked next to it, and loaded. Later calls of the container only compute.

*Killed between: the container is gone, with all of it.* Without a usable archive every call has an error that says
what is missing, so that the caller's client learns it.
"""

import threading
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterglow.embedding import model_archive
from afterglow.errors import AfterglowError, Unavailable
from afterglow.settings import Settings
from afterglow.storage.ports import ObjectNotFound, Objects

if TYPE_CHECKING:
    from afterglow.embedding.onnx_model import OnnxModel


class BucketModel:
    """The model whose archive the settings name."""

    def __init__(self, objects: Objects, folder: Path, settings: Settings) -> None:
        self._objects, self._folder = objects, folder
        self._key = settings.embedding_model_archive
        self._sha256 = settings.embedding_model_checksum or model_archive.MINI_LM.sha256
        self._threads = max(1, settings.embedding_threads)
        self._lock = threading.Lock()
        self._model: OnnxModel | None = None

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to one invocation."""
        try:
            embedded = self._loaded().embed(request["texts"])
        except AfterglowError as error:
            retry_after = error.retry_after if isinstance(error, Unavailable) else Unavailable.PASSING_SECONDS
            return {"error": error.message, "retry_after": retry_after}
        vectors = b64encode(embedded.vectors.astype("<f4").tobytes()).decode()
        return {"rows": len(embedded.vectors), "vectors": vectors, "truncated": embedded.truncated}

    def _loaded(self) -> "OnnxModel":
        from afterglow.embedding.onnx_model import OnnxModel

        with self._lock:
            if self._model is None:
                self._model = OnnxModel(self._unpacked(), self._threads)
            return self._model

    def _unpacked(self) -> Path:
        try:
            packed = self._objects.local_path(self._key)
        except ObjectNotFound:
            raise Unavailable(
                f"the bucket has no embedding model: copy the archive of {model_archive.NAME} to {self._key} in it", 60
            ) from None
        if model_archive.sha256(packed) != self._sha256:
            self._objects.invalidate(self._key)
            raise Unavailable(
                f"{self._key} in the bucket does not have the expected SHA-256: damaged, or not the model", 60
            )
        files = model_archive.unpack(packed, self._folder)
        self._objects.invalidate(self._key)  # its copy takes the room of temporary files
        return files
