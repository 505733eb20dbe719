"""A flush writes the memtable as a segment and deletions as deletion vectors, and trims what the last one covered."""

from dataclasses import replace

import numpy as np

from afterglow.catalog import keys
from afterglow.jobs.flush import flush, with_deletions
from afterglow.log import archive
from afterglow.log import entry as entries
from afterglow.log.entry import EntryKind
from afterglow.segment import manifest as manifests
from afterglow.segment.reader import read_deletions
from tests.jobs.environment import Environment


def entry_kinds(env: Environment) -> list[EntryKind]:
    items = env.stores.table.query(keys.collection(env.id), after=entries.BEFORE_ALL, before=entries.AFTER_ALL)
    return [entries.decode(item).kind for item in items]


def test_the_memtable_becomes_an_unindexed_segment(env: Environment) -> None:
    env.write("a", "b", "c")
    env.delete("b")
    manifest = env.flush()
    (segment,) = manifest.segments
    assert (segment.rows, segment.deleted_rows, segment.has_graph) == (2, 0, False)
    assert (manifest.number, manifest.flushed_seq, manifest.flushed_ops, manifest.records) == (1, 2, 4, 2)
    assert env.ids() == ["a", "c"]


def test_nothing_to_flush_returns_the_current_manifest(env: Environment) -> None:
    env.write("a")
    manifest, before = env.flush(), env.objects()
    assert env.flush() == manifest
    assert env.objects() == before


def test_entries_become_placeholders_one_flush_later(env: Environment) -> None:
    env.write("a")
    env.flush()
    assert entry_kinds(env) == [EntryKind.BATCH]
    env.write("b")
    env.flush()
    assert entry_kinds(env) == [EntryKind.PLACEHOLDER, EntryKind.BATCH]


def test_deletions_of_flushed_rows_become_a_deletion_vector(env: Environment) -> None:
    env.write("a", "b", "c")
    (before,) = env.flush().segments
    env.delete("a", "c")
    (after,) = env.flush().segments
    assert (after.id, after.files, after.deleted_rows) == (before.id, before.files, 2)
    mask = read_deletions(env.stores.objects, after)
    assert mask is not None
    assert mask.tolist() == [True, False, True]


def test_a_segment_without_live_rows_is_dropped(env: Environment) -> None:
    env.write("a")
    env.flush()
    env.delete("a")
    manifest = env.flush()
    assert (manifest.segments, manifest.records) == ((), 0)


def test_an_unchanged_deletion_vector_is_not_written_again(env: Environment) -> None:
    env.write("a", "b")
    env.flush()
    env.delete("a")
    (segment,) = env.flush().segments
    before, prefix = env.objects(), manifests.segments_prefix(env.id)
    assert with_deletions(env.stores, prefix, segment, np.array([True, False])) == [segment]
    assert with_deletions(env.stores, prefix, segment, np.array([True, True])) == []
    assert env.objects() == before


def test_the_log_is_archived_for_time_travel(env: Environment) -> None:
    env.write("a")
    env.flush()
    assert list(archive.list_archives(env.stores.objects, env.id)) == []
    env.write("b")
    stores = replace(env.stores, settings=replace(env.stores.settings, retention_seconds=500.0))
    flush(stores, env.replica().snapshot())
    (stored,) = archive.list_archives(env.stores.objects, env.id)
    assert stored.last == 2
