"""Retention: which manifests stay, and that a retained one stays until the window has passed it."""

from hypothesis import given
from hypothesis import strategies as st

from afterglow.segment import retention
from afterglow.segment.manifest import ManifestRef
from afterglow.segment.retention import ManifestListing, RetentionWindow

OPS = retention._BUCKET_OPS


def refs_of(steps: list[tuple[int, int]]) -> list[ManifestRef]:
    """Manifests numbered from 1, each some operations and milliseconds after the one before."""
    refs, ops, time = [], 0, 0
    for number, (more_ops, more_time) in enumerate(steps, 1):
        ops, time = ops + more_ops, time + more_time
        refs.append(ManifestRef(f"c/manifest/{number}-{number}-{ops}-{time}-n-x.json", number, number, ops, time))
    return refs


def listing(refs: list[ManifestRef], current: int, fork_base: ManifestRef | None = None) -> ManifestListing:
    return ManifestListing(tuple(refs), refs[current], fork_base)


histories = st.lists(st.tuples(st.sampled_from([1, OPS // 2, OPS]), st.integers(0, 40)), min_size=2, max_size=12)
windows = st.builds(RetentionWindow, st.integers(-50, 300), st.integers(1, 200))


@given(histories, windows, st.data())
def test_every_bucket_of_the_window_has_a_checkpoint(
    steps: list[tuple[int, int]], window: RetentionWindow, data: st.DataObject
) -> None:
    refs = refs_of(steps)
    current = data.draw(st.integers(0, len(refs) - 1))
    retained = retention.select_retained(listing(refs, current), window)
    assert refs[current] in retained.manifests
    assert set(refs[current + 1 :]) <= set(retained.manifests)
    if retained.oldest is not None:
        assert retained.oldest.log_time <= window.since
        assert min(ref.number for ref in retained.manifests) == retained.oldest.number
    for ref in refs[:current]:
        if retained.oldest is None or ref.number >= retained.oldest.number:
            bucket = [other for other in retained.manifests if window.bucket(other) == window.bucket(ref)]
            assert max(other.number for other in bucket) >= ref.number


@given(histories, st.integers(1, 200))
def test_deleting_step_by_step_loses_nothing_that_the_whole_history_retains(
    steps: list[tuple[int, int]], length: int
) -> None:
    """What is retained stays so until the window has passed it: a deletion is never regretted."""
    refs = refs_of(steps)
    surviving: list[ManifestRef] = []
    for number, current in enumerate(refs):
        window = RetentionWindow(current.log_time - length, length)
        surviving = [*surviving, current]
        retained = retention.select_retained(listing(surviving, len(surviving) - 1), window)
        assert retained == retention.select_retained(listing(refs[: number + 1], number), window)
        surviving = list(retained.manifests)


def test_without_a_window_only_the_current_and_uncommitted_stay() -> None:
    refs = refs_of([(1, 1)] * 4)
    retained = retention.select_retained(listing(refs, 2), None)
    assert retained.manifests == (refs[2], refs[3])
    assert retained.oldest == refs[2]


def test_the_base_of_a_fork_stays() -> None:
    refs = refs_of([(1, 1)] * 4)
    base = ManifestRef("other/manifest/0-0-0-0-n-x.json", 0, 0, 0, 0)
    retained = retention.select_retained(listing(refs, 3, base), RetentionWindow(-1, 1_000))
    assert retained.manifests == (base, refs[3])
    assert retained.oldest is None


def test_the_last_of_a_bucket_stays() -> None:
    window = RetentionWindow(-1, 70)
    by_time = refs_of([(1, 0), (1, 5), (1, 5), (1, 5), (1, 5)])
    assert [ref.log_time for ref in retention.durable_checkpoints(listing(by_time, 4), window)] == [5, 15, 20]
    by_ops = refs_of([(OPS // 2, 0)] * 5)
    assert [ref.number for ref in retention.durable_checkpoints(listing(by_ops, 4), window)] == [1, 3, 5]


def test_the_current_manifest_and_the_base_need_not_be_listed() -> None:
    keys = [ref.key for ref in refs_of([(1, 1), (1, 1)])]
    found = retention.list_manifests(keys[:1], keys[1], None)
    assert {ref.key for ref in found.all} == set(keys)
    assert found.current.number == 2
    assert found.fork_base is None
    forked = retention.list_manifests([], keys[1], keys[0])
    assert forked.fork_base is not None
    assert forked.fork_base.number == 1
