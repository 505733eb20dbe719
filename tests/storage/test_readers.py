"""A newer format is written once no process is left that would refuse it."""

from collections.abc import Iterator

import pytest

from afterglow.catalog import state
from afterglow.errors import Unavailable
from afterglow.log import entry
from afterglow.segment import manifest
from afterglow.storage import readers
from afterglow.storage.ports import Stores
from afterglow.storage.readers import KEEP_SECONDS, PARTITION, AccountReaders
from tests.support.stores import ManualClock, quick_folder, stores_at

HOUR = 3600.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000.0)


@pytest.fixture
def stores(clock: ManualClock) -> Iterator[Stores]:
    with quick_folder() as folder:
        opened = stores_at(folder, clock=clock)
        yield opened
        opened.table.close()


def reader(stores: Stores, newest: int) -> AccountReaders:
    """A process of the release that reads up to `newest`."""
    return AccountReaders(stores.table, stores.system, newest, f"{newest}.0.0")


def test_this_release_registers_the_newest_of_its_formats() -> None:
    assert max(state.FORMAT, entry.FORMAT, manifest.FORMAT) == readers.FORMAT


def test_a_writer_takes_the_newest_format_of_the_oldest_reader(stores: Stores, clock: ManualClock) -> None:
    old, new = reader(stores, 4), reader(stores, 5)
    assert new.choose((4, 5)) == 5
    old.register()
    new.register()
    assert new.choose((4, 5)) == 4
    assert new.choose((3, 5)) == 3
    clock.sleep(KEEP_SECONDS - 1)
    new.register()
    assert new.choose((4, 5)) == 4
    clock.sleep(1)
    assert new.choose((4, 5)) == 5


def test_a_reader_that_goes_on_stays_registered(stores: Stores, clock: ManualClock) -> None:
    old, new = reader(stores, 4), reader(stores, 5)
    for _ in range(40):
        old.register()
        assert new.choose((4, 5)) == 4
        clock.sleep(5 * HOUR)
    items = stores.table.query(PARTITION)
    assert [item.sk for item in items] == ["000004"]
    assert items[0].version < 20


def test_a_process_that_starts_late_has_its_day_too(stores: Stores, clock: ManualClock) -> None:
    reader(stores, 4).register()
    clock.sleep(11 * HOUR)
    late = reader(stores, 4)
    late.register()
    for _ in range(4):
        clock.sleep(6 * HOUR - 1)
        assert reader(stores, 5).choose((4, 5)) == 4
        late.register()


def test_numbers_of_later_releases_and_other_keys_are_ignored(stores: Stores) -> None:
    reader(stores, 999_999).register()
    for key in ("", "x", "-00001", "1.5", "²", "format"):
        stores.table.put(PARTITION, key, b"", expires_at=2**31)
    stores.table.put(PARTITION, "000001", b"without an end")
    assert reader(stores, 5).choose((4, 5)) == 5


def test_a_writer_refuses_what_a_reader_could_not_read(stores: Stores, clock: ManualClock) -> None:
    reader(stores, 3).register()
    with pytest.raises(Unavailable, match=r"release 3\.0\.0 reads only formats up to 3.*\(5\.0\.0\) writes 4 or newer"):
        reader(stores, 5).choose((4, 5))
    clock.sleep(KEEP_SECONDS)
    assert reader(stores, 5).choose((4, 5)) == 5


def test_a_clock_that_jumps_back_does_not_stop_registration(stores: Stores, clock: ManualClock) -> None:
    old = reader(stores, 4)
    old.register()
    clock.seconds -= 100 * HOUR
    stores.table.delete(PARTITION, "000004")
    old.register()
    assert reader(stores, 5).choose((4, 5)) == 4
