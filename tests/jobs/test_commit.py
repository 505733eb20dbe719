"""A manifest becomes current only if the checkpoint that it is based on still is."""

from dataclasses import replace
from uuid import uuid4

import pytest

from afterglow.catalog.ttl import NextExpiry
from afterglow.errors import NotFound
from afterglow.jobs.commit import CommitConflict, commit_manifest
from afterglow.segment import manifest as manifests
from afterglow.segment.manifest import Manifest
from tests.jobs.environment import Environment
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import with_faults


@pytest.fixture
def next_manifest(env: Environment) -> Manifest:
    """A successor of the current checkpoint."""
    env.write("a")
    current = env.flush()
    return replace(current, number=current.number + 1)


def test_the_state_follows_the_manifest(env: Environment, next_manifest: Manifest) -> None:
    base = env.state().manifest_key
    changed = replace(next_manifest, flushed_ops=next_manifest.flushed_ops + 1)
    key = commit_manifest(env.stores, env.id, base, changed)
    state = env.state()
    assert (state.manifest_key, state.flushed_seq, state.flushed_ops) == (key, changed.flushed_seq, changed.flushed_ops)
    assert manifests.load(env.stores.objects, key) == changed


def test_another_commit_in_between_is_a_conflict(env: Environment, next_manifest: Manifest) -> None:
    base = env.state().manifest_key
    first = commit_manifest(env.stores, env.id, base, next_manifest)
    with pytest.raises(CommitConflict):
        commit_manifest(env.stores, env.id, base, replace(next_manifest, number=next_manifest.number + 1))
    assert env.state().manifest_key == first


def test_a_write_that_the_adapter_repeats_is_no_conflict(env: Environment, next_manifest: Manifest) -> None:
    for number in range(4):
        base = env.state().manifest_key
        stores = with_faults(env.stores, Faults(nth(number, Fault.REPEATED)))
        manifest = replace(next_manifest, number=next_manifest.number + number)
        assert commit_manifest(stores, env.id, base, manifest) == env.state().manifest_key


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_crash_leaves_the_old_checkpoint_or_the_new_one(
    env: Environment, next_manifest: Manifest, fault: Fault
) -> None:
    base, number, crashed = env.state().manifest_key, 0, True
    while crashed:
        crashed = False
        try:
            commit_manifest(with_faults(env.stores, Faults(nth(number, fault))), env.id, base, next_manifest)
        except Crash:
            crashed = True
        current = env.state().manifest_key
        assert current is not None
        manifests.load(env.stores.objects, current)
        assert env.ids() == ["a"]
        base, number = current, number + 1
    assert number > 2


def test_the_next_expiry_is_stored_if_it_is_given(env: Environment, next_manifest: Manifest) -> None:
    commit_manifest(env.stores, env.id, env.state().manifest_key, next_manifest, NextExpiry("until", 5.0))
    assert env.state().next_expiry is None, "the collection has no such TTL key"


def test_a_missing_collection(env: Environment, next_manifest: Manifest) -> None:
    with pytest.raises(NotFound):
        commit_manifest(env.stores, uuid4(), None, next_manifest)
