"""A sentence encoder of a few kilobytes, as the files of a real one: model.onnx and tokenizer.json.

A token's state is its own vector plus the mean of its text's tokens under the attention mask, so that a state depends
on its text, and a wrong mask shows. The ONNX file is written field by field (protobuf's wire format), because the
package `onnx` is not needed for anything else.
"""

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

DIMENSION = 24
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
_TEXT = "a and bird blue cat desert dog fish green house in its of planet red river sea spice the tree"
WORDS = [*_SPECIAL, *_TEXT.split(" ")]
_INT64, _FLOAT = 7, 1


def write_model(folder: Path) -> Path:
    """The files of the model, in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    table = np.random.default_rng(7).standard_normal((len(WORDS), DIMENSION)).astype(np.float32)
    (folder / "model.onnx").write_bytes(_model(table))
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _model(table: np.ndarray) -> bytes:
    nodes = [
        _node("Gather", ["table", "input_ids"], "tokens"),
        _node("Cast", ["attention_mask"], "mask", to=_FLOAT),
        _node("Unsqueeze", ["mask", "last"], "weights"),
        _node("Mul", ["tokens", "weights"], "weighted"),
        _node("ReduceSum", ["weighted", "second"], "sums", keepdims=1),
        _node("ReduceSum", ["weights", "second"], "counts", keepdims=1),
        _node("Div", ["sums", "counts"], "mean"),
        _node("Add", ["tokens", "mean"], "last_hidden_state"),
    ]
    tensors = [
        _tensor("table", table, _FLOAT),
        _tensor("last", np.array([-1]), _INT64),
        _tensor("second", np.array([1]), _INT64),
    ]
    names = ("input_ids", "attention_mask", "token_type_ids")
    graph = (
        b"".join(_bytes(1, node) for node in nodes)
        + _bytes(2, b"encoder")
        + b"".join(_bytes(5, tensor) for tensor in tensors)
        + b"".join(_bytes(11, _value(name, _INT64, ["batch", "length"])) for name in names)
        + _bytes(12, _value("last_hidden_state", _FLOAT, ["batch", "length", DIMENSION]))
    )
    operator_set = _bytes(1, b"") + _int(2, 17)
    return _int(1, 8) + _bytes(7, graph) + _bytes(8, operator_set)


def _node(kind: str, inputs: list[str], output: str, **attributes: int) -> bytes:
    fields = (
        b"".join(_bytes(1, name.encode()) for name in inputs) + _bytes(2, output.encode()) + _bytes(4, kind.encode())
    )
    for name, value in attributes.items():
        fields += _bytes(5, _bytes(1, name.encode()) + _int(3, value) + _int(20, 2))
    return fields


def _tensor(name: str, values: np.ndarray, kind: int) -> bytes:
    sizes = b"".join(_int(1, size) for size in values.shape)
    return sizes + _int(2, kind) + _bytes(8, name.encode()) + _bytes(9, values.tobytes())


def _value(name: str, kind: int, sizes: list[str | int]) -> bytes:
    dimensions = b"".join(
        _bytes(1, _int(1, size) if isinstance(size, int) else _bytes(2, size.encode())) for size in sizes
    )
    tensor_type = _int(1, kind) + _bytes(2, dimensions)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor_type))


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
