"""The old versions of deleted objects in a versioned bucket, deleted for good: after an erasure, on demand.

What a finished erasure has deleted (`jobs.erasure`), and what was deleted before it, stays in a versioned bucket for
`RecoveryDays`. Deleting it ends the recovery of these collections to moments before the erasure. Current objects are
never touched. *Killed: run it again.*
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from afterglow.errors import Unavailable
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.error_mapping import map_errors


def delete_old_versions(clients: Clients, bucket: str, prefix: str, until: float) -> int:
    """Delete every version of the objects with this prefix that were deleted by `until` (Unix seconds); how many.

    Raises Unavailable, also when S3 refuses to delete one.
    """
    deleted = 0
    with map_errors(f"bucket {bucket}"):
        for versions in _versions_of_deleted(clients, bucket, prefix, datetime.fromtimestamp(until, UTC)):
            delete_versions(clients, bucket, versions)
            deleted += len(versions)
    return deleted


def delete_versions(clients: Clients, bucket: str, versions: Sequence[dict[str, str]]) -> None:
    """Delete versions or delete markers for good, at most 1,000. Raises Unavailable if S3 refuses to delete one."""
    response = clients.s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})  # type: ignore[typeddict-item]
    for error in response.get("Errors", []):
        raise Unavailable(f"bucket {bucket}: {error.get('Key')}: {error.get('Code')}: {error.get('Message')}")


def _versions_of_deleted(clients: Clients, bucket: str, prefix: str, until: datetime) -> Iterator[list[dict[str, str]]]:
    """The versions and markers of deleted objects, by page: at most 1,000, and so many may be deleted at once.

    A key may be on two pages; the marker that says that it is deleted is on the first.
    """
    markers: dict[str, datetime] = {}
    for page in clients.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found = page.get("DeleteMarkers", [])
        markers |= {one["Key"]: one["LastModified"] for one in found if one["IsLatest"]}
        versions = [
            {"Key": one["Key"], "VersionId": one["VersionId"]}
            for one in (*found, *page.get("Versions", []))
            if (deleted_at := markers.get(one["Key"])) is not None and deleted_at <= until
        ]
        if versions:
            yield versions
