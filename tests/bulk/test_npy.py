"""Matrices of embeddings in `.npy` files."""

from pathlib import Path

import numpy as np
import pytest

from afterglow.bulk.formats.npy import Vectors
from afterglow.bulk.row_values import RowError
from afterglow.bulk.sources import file_source
from afterglow.bulk.types import ImportRejected
from afterglow.settings import Settings


def _vectors(path: Path) -> Vectors:
    source = file_source(path)
    assert source is not None
    return Vectors(source, Settings())


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "f2", "i1"])
def test_rows_as_float32(dtype: str, tmp_path: Path) -> None:
    matrix = np.arange(6).reshape(3, 2).astype(dtype)
    np.save(tmp_path / "a.npy", matrix)
    vectors = _vectors(tmp_path / "a.npy")
    assert (vectors.rows, vectors.dimension) == (3, 2)
    assert vectors.row(2) == matrix[2].astype("<f4").tobytes()
    assert vectors.row(0) == matrix[0].astype("<f4").tobytes()
    with pytest.raises(RowError):
        vectors.row(3)


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros(3, dtype=np.float32),
        np.zeros((0, 3), dtype=np.float32),
        np.array([["a"]]),
        np.array([[None]], dtype=object),
    ],
)
def test_other_arrays_are_rejected(matrix: np.ndarray[tuple[int, ...], np.dtype[np.generic]], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", matrix, allow_pickle=True)
    with pytest.raises(ImportRejected):
        _vectors(tmp_path / "a.npy")


def test_a_truncated_file_is_rejected(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 2)))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-1])
    with pytest.raises(ImportRejected, match="truncated"):
        _vectors(tmp_path / "a.npy")
