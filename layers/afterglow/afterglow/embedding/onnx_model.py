"""A sentence encoder by onnxruntime, with the tokenizer of its folder.

The same vectors as Chroma's `ONNXMiniLM_L6_V2` within 1e-4, for the same files: at most 256 tokens, the mean of the
token vectors under the attention mask, unit length. Chroma pads every text to 256 tokens; the mask makes padding
irrelevant, so here a batch is padded to its longest text: 3 ms for a short query instead of 73.

Texts are sorted by length and run in batches of 8: larger ones gain nothing on the cores of a small machine, because
the matrices no longer fit its caches.

Only `onnx_worker` imports this module: onnxruntime takes 100 MB of memory and a quarter of a second.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from afterglow.embedding.embedder import Embedded, Vectors

MAX_TOKENS = 256
BATCH = 8
MODEL_FILE, TOKENIZER_FILE = "model.onnx", "tokenizer.json"
_ERRORS_ONLY = 3


class OnnxModel:
    """A model folder, loaded. Safe for several threads at once."""

    def __init__(self, folder: Path, threads: int) -> None:
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
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        self._tokenizer.enable_truncation(max_length=MAX_TOKENS)
        self._tokenizer.no_padding()
        self.dimension = int(self.embed(["dimension"]).vectors.shape[1])

    def embed(self, texts: Sequence[str]) -> Embedded:
        """The unit vectors of the texts."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        tokens = [encoding.ids for encoding in encodings]
        truncated = sum(bool(encoding.overflowing) for encoding in encodings)
        order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
        batches = ([tokens[index] for index in order[start : start + BATCH]] for start in range(0, len(order), BATCH))
        matrix = np.concatenate([self._run(batch) for batch in batches])
        ordered = np.empty_like(matrix)
        ordered[order] = matrix
        return Embedded(ordered, truncated)

    def _run(self, batch: list[list[int]]) -> Vectors:
        length = max(1, *map(len, batch))
        ids = np.zeros((len(batch), length), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        output = self._session.run(None, {name: value for name, value in feed.items() if name in self._inputs})[0]
        return _unit(_mean(output, mask) if output.ndim == 3 else output)


def _mean(states: NDArray[np.float32], mask: NDArray[np.int64]) -> NDArray[np.float32]:
    """The mean (n, d) of token vectors (n, tokens, d) under the mask (n, tokens)."""
    weights = mask.astype(np.float32)
    sums = np.einsum("ntd,nt->nd", states, weights)
    means: NDArray[np.float32] = sums / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return means


def _unit(vectors: NDArray[np.float32]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1e-12
    return np.asarray(vectors / lengths, dtype=np.float32)
