"""The manifest: its invariants hold on read and on write."""

from dataclasses import replace
from uuid import UUID

import orjson
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterglow.errors import Corrupt, UnsupportedFormat
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import FileRef
from afterglow.segment.manifest import Manifest, SegmentInfo
from afterglow.storage.ports import ObjectNotFound, Stores

FILE = FileRef("a/key", 10, "0" * 32)


def put(stores: Stores, name: str, body: bytes) -> str:
    """Store these bytes under a key that vouches for them."""
    key = f"{name}-{xxhash.xxh3_64_hexdigest(body)}.json"
    stores.objects.put(key, body)
    return key


@st.composite
def some_manifests(draw: st.DrawFn) -> Manifest:
    segments = []
    for number in range(draw(st.integers(0, 4))):
        rows = draw(st.integers(1, 10**9))
        deleted = draw(st.just(0) | st.integers(0, rows - 1))
        roles = ["rows", "strings", "vectors", *(["graph"] if draw(st.booleans()) else [])]
        segments.append(
            SegmentInfo(f"segment {number}", rows, 384, dict.fromkeys(roles, FILE), deleted, FILE if deleted else None)
        )
    flushed = draw(st.integers(0, 10**12))
    return Manifest(
        collection=draw(st.uuids()),
        number=draw(st.integers(0, 10**11)),
        flushed_seq=flushed,
        flushed_ops=draw(st.integers(0, 10**12)),
        log_time=draw(st.integers(0, 10**13)),
        trimmed_seq=draw(st.integers(0, flushed)),
        next_row_seq=draw(st.integers(0, 10**12)),
        records=sum(segment.live_rows for segment in segments),
        segments=tuple(segments),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(some_manifests())
def test_a_manifest_survives_the_round_trip(stores: Stores, manifest: Manifest) -> None:
    key = manifests.store(stores.objects, manifest, "nonce")
    assert key.startswith(manifests.prefix(manifest.collection))
    assert manifests.load(stores.objects, key) == manifest
    assert manifests.parse_key(key) == manifests.ManifestRef(
        key, manifest.number, manifest.flushed_seq, manifest.flushed_ops, manifest.log_time
    )


@pytest.mark.parametrize(
    "key", ["", "x/manifest/1-2-3.json", "x/manifest/1-2-3-a-n-c.json", "x/manifest/1-2-3-4-n-c-d.json"]
)
def test_what_is_not_the_key_of_a_manifest(key: str) -> None:
    with pytest.raises(Corrupt, match="not the key"):
        manifests.parse_key(key)


SEGMENT = SegmentInfo("one", 10, 3, {"rows": FILE}, 2, FILE)
GOOD = Manifest(UUID(int=1), 1, 5, 9, 1_700_000_000_000, 4, 20, 8, (SEGMENT,))
BAD = {
    "lists a segment twice": replace(GOOD, segments=(SEGMENT, SEGMENT), records=16),
    "without live rows": replace(GOOD, segments=(replace(SEGMENT, deleted_rows=10),), records=0),
    "without live rows ": replace(
        GOOD, segments=(replace(SEGMENT, rows=0, deleted_rows=0, deletions=None),), records=0
    ),
    "deletion vector": replace(GOOD, segments=(replace(SEGMENT, deletions=None),)),
    "deletion vector ": replace(GOOD, segments=(replace(SEGMENT, deleted_rows=0),), records=10),
    "mixes dimensions": replace(GOOD, segments=(SEGMENT, replace(SEGMENT, id="two", dimension=4)), records=16),
    "trimmed to 6 but flushed to 5": replace(GOOD, trimmed_seq=6),
    "trimmed to -1": replace(GOOD, trimmed_seq=-1),
    "claims 9 records": replace(GOOD, records=9),
}


@pytest.mark.parametrize("problem", BAD)
def test_what_breaks_an_invariant_is_neither_written_nor_read(stores: Stores, problem: str) -> None:
    with pytest.raises(Corrupt, match=problem.strip()):
        manifests.store(stores.objects, BAD[problem], "nonce")
    key = manifests.store(stores.objects, GOOD, "nonce")
    value = orjson.loads(stores.objects.get(key)) | {
        name: orjson.loads(orjson.dumps(getattr(BAD[problem], name))) for name in ("segments", "records", "trimmed_seq")
    }
    broken = put(stores, "m/broken", orjson.dumps(value))
    with pytest.raises(Corrupt, match=problem.strip()):
        manifests.load(stores.objects, broken)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"{}", b'{"format":2}', b'{"format":1}', b'{"format":1,"collection":"x"}'],
)
def test_an_unreadable_manifest_is_corrupt_and_named(stores: Stores, data: bytes) -> None:
    key = put(stores, "m/broken", data)
    with pytest.raises(Corrupt, match=key):
        manifests.load(stores.objects, key)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed(stores: Stores, position: int, bit: int) -> None:
    """Also one that leaves a manifest which keeps every invariant: another checksum, or fewer folded entries."""
    key = manifests.store(stores.objects, GOOD, "flipped")
    data = bytearray(stores.objects.get(key))
    data[position % len(data)] ^= 1 << bit
    stores.objects.put(key, bytes(data))
    with pytest.raises(Corrupt, match=key):
        manifests.load(stores.objects, key)


def test_a_manifest_is_not_taken_for_another(stores: Stores) -> None:
    key = manifests.store(stores.objects, GOOD, "one")
    other = manifests.store(stores.objects, replace(GOOD, flushed_ops=10), "other")
    stores.objects.put(key, stores.objects.get(other))
    with pytest.raises(Corrupt, match=key):
        manifests.load(stores.objects, key)


@pytest.mark.parametrize(
    ("number", "advice"),
    [(1, "export each collection with that release"), (2, "export each collection"), (4, "upgrade to that release")],
)
def test_a_manifest_of_another_format_is_refused_with_advice(stores: Stores, number: int, advice: str) -> None:
    body = orjson.dumps(orjson.loads(manifests.encode(GOOD, "it")) | {"format": number})
    key = put(stores, "m/other", body)
    message = f"manifest {key} has format {number}, this release reads format 3; .*{advice}"
    with pytest.raises(UnsupportedFormat, match=message):
        manifests.load(stores.objects, key)


def test_a_missing_manifest_is_missing(stores: Stores) -> None:
    with pytest.raises(ObjectNotFound):
        manifests.load(stores.objects, "m/none.json")


def test_keys_sort_by_number() -> None:
    assert GOOD.dimension == 3
    assert replace(GOOD, segments=(), records=0).dimension is None
