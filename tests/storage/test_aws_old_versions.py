"""Old versions of deleted objects are deleted; current objects, and what was deleted later, stay."""

from collections.abc import Iterator

import pytest

from afterglow.errors import Unavailable
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.old_versions import delete_old_versions
from tests.support import aws

LATER = 2**33


@pytest.fixture
def bucket() -> Iterator[tuple[Clients, str]]:
    """A versioned bucket with the objects of two collections: one deleted, one replaced, one current of each."""
    with aws.moto_aws():
        made, clients = aws.make(), aws.guarded_clients()
        clients.s3.put_bucket_versioning(Bucket=made.bucket, VersioningConfiguration={"Status": "Enabled"})
        for prefix in ("one", "other"):
            for name in ("deleted", "replaced", "replaced", "current"):
                clients.s3.put_object(Bucket=made.bucket, Key=f"{prefix}/{name}", Body=b"x")
            clients.s3.delete_object(Bucket=made.bucket, Key=f"{prefix}/deleted")
        yield clients, made.bucket


def versions(clients: Clients, bucket: str) -> list[str]:
    page = clients.s3.list_object_versions(Bucket=bucket)
    return sorted(one["Key"] for one in (*page.get("Versions", []), *page.get("DeleteMarkers", [])))


def test_only_deleted_objects_lose_their_versions(bucket: tuple[Clients, str]) -> None:
    before = versions(*bucket)
    assert before.count("one/deleted") == 2
    assert delete_old_versions(*bucket, "one/", LATER) == 2
    assert versions(*bucket) == [key for key in before if key != "one/deleted"]
    assert delete_old_versions(*bucket, "one/", LATER) == 0


def test_what_was_deleted_later_stays(bucket: tuple[Clients, str]) -> None:
    assert delete_old_versions(*bucket, "one/", 0) == 0
    assert versions(*bucket).count("one/deleted") == 2


def test_a_version_that_may_not_be_deleted_is_an_error(
    bucket: tuple[Clients, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = {"Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "no s3:DeleteObjectVersion"}]}
    monkeypatch.setattr(bucket[0].s3, "delete_objects", lambda **_: denied)
    with pytest.raises(Unavailable, match="a: AccessDenied"):
        delete_old_versions(*bucket, "one/", LATER)
