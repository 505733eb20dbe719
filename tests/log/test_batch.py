"""Frames: round trips, and detection of any damage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.errors import Corrupt
from afterglow.log import batch as frames
from afterglow.log.batch import Batch, Op
from tests.support.batches import batches, to_plain


@given(batches())
def test_a_batch_survives_the_round_trip(batch: Batch) -> None:
    frame = frames.encode(batch)
    assert to_plain(frames.decode(frame, "it")) == to_plain(batch)
    assert to_plain(frames.decode(memoryview(frame), "it")) == to_plain(batch)
    assert frames.encode(batch) == frame


def test_vectors_come_back_bit_by_bit() -> None:
    vectors = np.array([[0.1, -0.0, 3.4e38], [1e-45, 2.0**-149, -1.5]], dtype=np.float32)
    decoded = frames.decode(frames.encode(Batch(Op.ADD, ["a", "b"], vectors)), "it")
    assert decoded.vectors is not None
    assert decoded.vectors.tobytes() == vectors.tobytes()


def test_vectors_of_any_layout_are_written_row_by_row() -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    turned = np.asfortranarray(vectors)
    assert frames.encode(Batch(Op.ADD, ["a", "b", "c"], turned)) == frames.encode(
        Batch(Op.ADD, ["a", "b", "c"], vectors)
    )


@given(batches(), st.data())
def test_a_truncated_frame_is_corrupt(batch: Batch, data: st.DataObject) -> None:
    frame = frames.encode(batch)
    length = data.draw(st.integers(0, len(frame) - 1))
    with pytest.raises(Corrupt, match="log entry 7"):
        frames.decode(frame[:length], "log entry 7")


@given(batches(), st.data())
def test_a_flipped_bit_is_corrupt(batch: Batch, data: st.DataObject) -> None:
    frame = bytearray(frames.encode(batch))
    position = data.draw(st.integers(0, len(frame) - 1))
    frame[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Corrupt, match="log entry 7"):
        frames.decode(bytes(frame), "log entry 7")


def test_every_bit_of_the_prefix_counts() -> None:
    frame = frames.encode(Batch(Op.ADD, ["a"], np.full((1, 4), np.frombuffer(b"    ", np.float32)[0])))
    for position in range(16):
        for bit in range(8):
            damaged = bytearray(frame)
            damaged[position] ^= 1 << bit
            with pytest.raises(Corrupt):
                frames.decode(bytes(damaged), "it")


@given(batches())
def test_bytes_after_the_frame_are_corrupt(batch: Batch) -> None:
    with pytest.raises(Corrupt):
        frames.decode(frames.encode(batch) + b"\0", "it")
