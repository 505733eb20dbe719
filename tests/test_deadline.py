"""The time by which a request must be answered."""

from pathlib import Path

import pytest

from afterglow.deadline import seconds_left, time_limit
from afterglow.errors import Unavailable
from tests.support import aws
from tests.support.stores import ManualClock


def test_without_a_limit_there_is_as_much_time_as_asked_for() -> None:
    assert seconds_left(5.0) == 5.0


def test_time_passes_and_ends() -> None:
    clock = ManualClock()
    with time_limit(10.0, clock.now):
        assert seconds_left(30.0) == 10.0
        clock.sleep(4.0)
        assert seconds_left(30.0) == 6.0
        assert seconds_left(5.0) == 5.0
        clock.sleep(6.0)
        with pytest.raises(Unavailable, match="still being loaded") as refused:
            seconds_left(5.0)
    assert refused.value.retry_after == 1.0
    assert seconds_left(5.0) == 5.0


def test_a_download_ends_with_the_time_and_finished_files_stay(folder: Path) -> None:
    clock = ManualClock()
    with aws.moto_aws():
        made = aws.make()
        stores, writer = (aws.stores_on_aws(made, folder / name) for name in ("reader", "writer"))
        for name in ("first", "second"):
            writer.objects.put(name, bytes(100_000))
        with time_limit(10.0, clock.now):
            first = stores.objects.local_path("first")
            clock.sleep(11.0)
            with pytest.raises(Unavailable, match="still being loaded"):
                stores.objects.local_path("second")
        assert stores.objects.local_path("first") == first
        assert stores.objects.local_path("second").stat().st_size == 100_000
