"""An indexer of the next release beside readers of this one: they read what it writes."""

from dataclasses import replace

import orjson
import pytest

from afterglow.errors import Unavailable, UnsupportedFormat
from afterglow.jobs.compact import compact
from afterglow.jobs.compaction_policy import Compaction
from afterglow.jobs.flush import flush
from afterglow.jobs.segment_limits import IndexKind
from afterglow.segment import manifest as manifests
from afterglow.storage.readers import KEEP_SECONDS, PARTITION, AccountReaders
from tests.jobs.environment import Environment

NEXT = 5


@pytest.fixture
def account(env: Environment) -> Environment:
    """The collection as an account has it, whose processes register."""
    env.stores = replace(env.stores, readers=AccountReaders(env.stores.table, env.stores.system))
    return env


def use_next_release(env: Environment, monkeypatch: pytest.MonkeyPatch, *formats: int) -> None:
    """From here on it is the next release, which reads and writes these formats, that works."""
    monkeypatch.setattr(manifests, "FORMATS", formats)
    monkeypatch.setattr(manifests, "FORMAT", formats[-1])
    env.stores = replace(env.stores, readers=AccountReaders(env.stores.table, env.stores.system, NEXT, "next"))


def stored_format(env: Environment) -> int:
    key = env.state().manifest_key
    assert key is not None
    number: int = orjson.loads(env.stores.objects.get(key))["format"]
    return number


def compact_everything(env: Environment) -> None:
    snapshot = env.replica().snapshot()
    compact(env.stores, snapshot, Compaction(snapshot.manifest.segments, None, IndexKind.NONE))


def test_the_next_format_is_written_a_day_after_the_last_reader_of_this_one(
    account: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.write("a")
    account.flush()
    assert account.ids() == ["a"]
    this_release = account.stores
    with monkeypatch.context() as patched:
        use_next_release(account, patched, 3, NEXT)
        account.write("b")
        account.flush()
        compact_everything(account)
        assert stored_format(account) == 3
        newer = account.stores
    account.stores = this_release
    assert account.ids() == ["a", "b"]

    account.clock.skipped += KEEP_SECONDS + 1
    use_next_release(account, monkeypatch, 3, NEXT)
    account.stores = newer
    account.write("c")
    account.flush()
    assert stored_format(account) == NEXT
    compact_everything(account)
    assert stored_format(account) == NEXT
    assert account.ids() == ["a", "b", "c"]


def test_this_release_refuses_the_next_format_as_newer(account: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    this_release = account.stores
    with monkeypatch.context() as patched:
        use_next_release(account, patched, 3, NEXT)
        account.write("a")
        account.flush()
    account.stores = this_release
    with pytest.raises(UnsupportedFormat, match="has format 5, this release reads format 3; a newer release wrote it"):
        account.ids()


def test_an_indexer_that_no_reader_follows_writes_nothing(
    account: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.write("a", "b")
    account.flush()
    account.write("c")
    account.ids()
    before = account.objects()
    with monkeypatch.context() as patched:
        use_next_release(account, patched, 3, NEXT)
        snapshot = account.replica().snapshot()
        patched.setattr(manifests, "FORMATS", (NEXT,))
        with pytest.raises(Unavailable, match="reads only formats up to 4"):
            flush(account.stores, snapshot)
        with pytest.raises(Unavailable, match="reads only formats up to 4"):
            compact(account.stores, snapshot, Compaction(snapshot.manifest.segments, None, IndexKind.NONE))
    assert account.objects() == before
    assert account.ids() == ["a", "b", "c"]


def test_processes_of_a_data_directory_do_not_register(env: Environment) -> None:
    env.write("a")
    env.flush()
    assert env.ids() == ["a"]
    assert env.stores.table.query(PARTITION) == []
