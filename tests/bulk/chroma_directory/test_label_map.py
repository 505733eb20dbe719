"""The label map is read, never executed."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from afterglow.bulk.chroma_directory.label_map import LabelMap, entries


class PersistentData:
    """As Chroma up to 0.6 writes it."""

    def __init__(self, labels: dict[str, int]) -> None:
        self.dimensionality = 3
        self.total_elements_added = len(labels)
        self.max_seq_id = 70_000
        self.id_to_label = labels
        self.label_to_id = {label: name for name, label in labels.items()}
        self.id_to_seq_id = dict.fromkeys(labels, 5)


class Malicious:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch executed",)


def read(path: Path) -> tuple[LabelMap, list[tuple[str, int]]]:
    labels = LabelMap()
    return labels, list(entries(path, labels))


@pytest.mark.parametrize("protocol", range(2, 6))
def test_both_maps(protocol: int, tmp_path: Path) -> None:
    names = {f"name {number}": number * 60_000 + 1 for number in range(3000)} | {"x" * 300: 7, "id_to_label": 9}
    path = tmp_path / "index_metadata.pickle"
    path.write_bytes(pickle.dumps(PersistentData(names), protocol))
    labels, found = read(path)
    assert (labels.is_complete, labels.dimension, labels.max_seq) == (True, 3, 70_000)
    assert sorted(found) == sorted(list(names.items()) * 2)


def test_nothing_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "index_metadata.pickle"
    path.write_bytes(pickle.dumps({"id_to_label": {"a": 1}, "x": Malicious(), "label_to_id": {2: "b"}}))
    _, found = read(path)
    assert {("a", 1), ("b", 2)} <= set(found)
    assert not (tmp_path / "executed").exists()


def test_every_cut_and_every_flip_is_survived(tmp_path: Path) -> None:
    names = {f"name {number}": number + 1 for number in range(30)}
    content = pickle.dumps(PersistentData(names))
    path = tmp_path / "index_metadata.pickle"
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place])
        labels, found = read(path)
        assert not labels.is_complete
        assert set(found) <= set(names.items())
    for place in range(0, len(content), 5):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        _, found = read(path)
        assert len(set(found) & set(names.items())) >= 28 or place < 300
