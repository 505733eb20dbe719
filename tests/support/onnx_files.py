"""Models of a few kilobytes, as the files of real ones: model.onnx and tokenizer.json.

A sentence encoder: a token's state is its own vector plus the mean of its text's tokens under the attention mask, so
that a state depends on its text, and a wrong mask shows. A cross-encoder: the product of the sums of both texts' token
vectors, so that words in common count, and wrong types of tokens show. The ONNX files are written field by field
(protobuf's wire format), because the package `onnx` is not needed for anything else.
"""

import io
import tarfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

DIMENSION = 24
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
_TEXT = "a and bird blue cat desert dog fish green house in its of planet red river sea spice the tree"
WORDS = [*_SPECIAL, *_TEXT.split(" ")]
_INT64, _FLOAT = 7, 1


def write_model(folder: Path) -> Path:
    """The files of the sentence encoder, in the folder."""
    return _write(folder, _encoder(_table()), single="[CLS] $A [SEP]")


def write_cross_encoder(folder: Path) -> Path:
    """The files of the cross-encoder, in the folder."""
    return _write(folder, _cross_encoder(_pair_table()), single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1")


def archive_of(folder: Path) -> bytes:
    """The model in the folder as an archive, laid out as that of Chroma's model."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name in ("model.onnx", "tokenizer.json"):
            tar.add(folder / name, f"onnx/{name}")
    return content.getvalue()


def pair_score(query: str, document: str) -> float:
    """The cross-encoder's score, by its definition; words are in lower case and separated by spaces."""
    sums = [
        sum((_pair_table()[_number(word)] for word in text.split()), np.zeros(DIMENSION)) for text in (query, document)
    ]
    return float(np.dot(*sums))


def _number(word: str) -> int:
    return WORDS.index(word) if word in WORDS else WORDS.index("[UNK]")


def _table() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((len(WORDS), DIMENSION)).astype(np.float32)


def _pair_table() -> np.ndarray:
    """Special tokens are without a vector."""
    table = _table()
    table[: len(_SPECIAL)] = 0
    return table


def _write(folder: Path, model: bytes, *, single: str, pair: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _encoder(table: np.ndarray) -> bytes:
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
    return _model(nodes, table, _value("last_hidden_state", _FLOAT, ["batch", "length", DIMENSION]))


def _cross_encoder(table: np.ndarray) -> bytes:
    nodes = [
        _node("Gather", ["table", "input_ids"], "tokens"),
        _node("Mul", ["attention_mask", "token_type_ids"], "is_document"),
        _node("Sub", ["attention_mask", "is_document"], "is_query"),
    ]
    for side in ("query", "document"):
        nodes += [
            _node("Cast", [f"is_{side}"], f"{side}_mask", to=_FLOAT),
            _node("Unsqueeze", [f"{side}_mask", "last"], f"{side}_weights"),
            _node("Mul", ["tokens", f"{side}_weights"], f"{side}_tokens"),
            _node("ReduceSum", [f"{side}_tokens", "second"], side, keepdims=0),
        ]
    nodes += [
        _node("Mul", ["query", "document"], "products"),
        _node("ReduceSum", ["products", "second"], "logits", keepdims=1),
    ]
    return _model(nodes, table, _value("logits", _FLOAT, ["batch", 1]))


def _model(nodes: list[bytes], table: np.ndarray, output: bytes) -> bytes:
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
        + _bytes(12, output)
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
