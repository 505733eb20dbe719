"""A model of the folder format of Hugging Face by onnxruntime: `model.onnx`, and its `tokenizer.json`.

Texts are sorted by length and run in batches of 8, each padded to its longest text: larger ones gain nothing on the
cores of a small machine, because the matrices no longer fit its caches. The attention mask makes padding irrelevant.

Only `onnx_worker` imports this module and its users: onnxruntime takes 100 MB of memory and a quarter of a second.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from afterglow.embedding.embedder import Embedded, Vectors

BATCH = 8
MODEL_FILE, TOKENIZER_FILE = "model.onnx", "tokenizer.json"
_ERRORS_ONLY = 3

Outputs = NDArray[np.float32]
Reduce = Callable[[Outputs, NDArray[np.int64]], Vectors]
"""The vectors (n, d) of a batch, from the model's first output and the attention mask (n, tokens)."""


class OnnxSession:
    """A model folder, loaded. Safe for several threads at once."""

    def __init__(self, folder: Path, threads: int, max_tokens: int, reduce: Reduce) -> None:
        """`threads` computes one batch. Raises OSError or an error of the two libraries for unusable files."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # Threads that spin while they wait would take a core from the searches.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / MODEL_FILE), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {node.name for node in self._session.get_inputs()}
        self._reduce = reduce
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        self._tokenizer.enable_truncation(max_length=max_tokens)
        self._tokenizer.no_padding()

    def run(self, texts: Sequence[str | tuple[str, str]]) -> Embedded:
        """The vectors of the texts, or of pairs of texts."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        truncated = sum(bool(encoding.overflowing) for encoding in encodings)
        order = sorted(range(len(encodings)), key=lambda index: len(encodings[index]))
        matrix = np.concatenate(
            [
                self._run([encodings[index] for index in order[start : start + BATCH]])
                for start in range(0, len(order), BATCH)
            ]
        )
        ordered = np.empty_like(matrix)
        ordered[order] = matrix
        return Embedded(ordered, truncated)

    def _run(self, batch: list[Encoding]) -> Vectors:
        length = max(1, *map(len, batch))
        ids = np.zeros((len(batch), length), dtype=np.int64)
        types, mask = np.zeros_like(ids), np.zeros_like(ids)
        for row, encoding in enumerate(batch):
            tokens = len(encoding)
            ids[row, :tokens], types[row, :tokens], mask[row, :tokens] = encoding.ids, encoding.type_ids, 1
        feed: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        output = self._session.run(None, {name: value for name, value in feed.items() if name in self._inputs})[0]
        return self._reduce(output, mask)
