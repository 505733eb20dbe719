"""Payloads of one batch and of several: round trips, and detection of any damage."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.errors import Corrupt
from afterglow.log import batch as frames
from afterglow.log import payload as payloads
from afterglow.log.batch import Batch, Op
from tests.support.batches import batches, to_plain

few = settings(max_examples=10, deadline=None)
several = st.lists(batches(), min_size=2, max_size=4)


@few
@given(batches())
def test_one_batch_is_stored_as_before_transactions(batch: Batch) -> None:
    assert payloads.encode([batch]) == frames.encode(batch)
    assert [*map(to_plain, payloads.decode(frames.encode(batch), "it"))] == [to_plain(batch)]


@few
@given(several)
def test_several_batches_survive_the_round_trip(written: list[Batch]) -> None:
    payload = payloads.encode(written)
    assert [*map(to_plain, payloads.decode(memoryview(payload), "it"))] == [*map(to_plain, written)]


@few
@given(several, st.data())
def test_a_damaged_payload_is_corrupt(written: list[Batch], data: st.DataObject) -> None:
    payload = bytearray(payloads.encode(written))
    with pytest.raises(Corrupt, match="log entry 7"):
        payloads.decode(bytes(payload[: data.draw(st.integers(0, len(payload) - 1))]), "log entry 7")
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Corrupt, match="log entry 7"):
        payloads.decode(bytes(payload), "log entry 7")


def test_a_frame_alone_does_not_read_the_payload_of_several() -> None:
    """A release before transactions refuses it even without looking at the entry's format."""
    payload = payloads.encode([Batch(Op.DELETE, ["a"]), Batch(Op.DELETE, ["b"])])
    with pytest.raises(Corrupt, match="not a log batch of a known version"):
        frames.decode(payload, "it")
