"""Recovery of an account: the bucket as of a moment, and what a restored table and an adopted bucket lack.

DynamoDB restores a table to a point in time as another table. The objects that it references may have been deleted
since, by compaction and garbage collection; a versioned bucket still has them, under delete markers. Objects never
change, so the bucket of an earlier moment is what it has now and what was deleted since.

1. Remove every delete marker that was set since the moment. *Killed: run it again; removed markers stay removed.*
2. Configure the table: expiry, point-in-time recovery and deletion protection, none of which a restore keeps.
3. Send notifications of uploaded files to the importer's queue of the stack that adopts the bucket.

Every step is idempotent. Nothing is deleted but markers.
"""

from datetime import UTC, datetime

from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.error_mapping import map_errors
from afterglow.storage.aws.old_versions import delete_versions

_EXPIRY = "expires_at"
_UPLOADS = "imports/"


def undelete_since(clients: Clients, bucket: str, moment: float) -> int:
    """Bring back every object that was deleted at or after `moment` (Unix seconds); how many.

    Raises Unavailable, also when S3 refuses to remove a marker.
    """
    since, restored = datetime.fromtimestamp(int(moment), UTC), 0
    with map_errors(f"bucket {bucket}"):
        # A page has at most 1,000 entries, and so many may be removed at once.
        for page in clients.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            markers = [
                {"Key": marker["Key"], "VersionId": marker["VersionId"]}
                for marker in page.get("DeleteMarkers", [])
                if marker["LastModified"] >= since
            ]
            if markers:
                delete_versions(clients, bucket, markers)
                restored += len({marker["Key"] for marker in markers})
    return restored


def protect_table(clients: Clients, table: str) -> list[str]:
    """Enable expiry, point-in-time recovery and deletion protection; the names of those that were off. Unavailable."""
    enabled = []
    with map_errors(f"table {table}"):
        expiry = clients.dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if expiry.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
            specification = {"Enabled": True, "AttributeName": _EXPIRY}
            clients.dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=specification)  # type: ignore[arg-type]
            enabled.append("expiry")
        backups = clients.dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        if backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
            clients.dynamodb.update_continuous_backups(
                TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
            )
            enabled.append("point-in-time recovery")
        if not clients.dynamodb.describe_table(TableName=table)["Table"].get("DeletionProtectionEnabled"):
            clients.dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
            enabled.append("deletion protection")
    return enabled


def notify_importer(clients: Clients, bucket: str, queue: str) -> None:
    """Send a message to the queue with this URL for every uploaded file. Raises Unavailable."""
    with map_errors(f"queue {queue.rpartition('/')[2]}"):
        names = clients.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    rule = {
        "QueueArn": names["QueueArn"],
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": _UPLOADS}]}},
    }
    with map_errors(f"bucket {bucket}"):
        clients.s3.put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={"QueueConfigurations": [rule]},  # type: ignore[list-item]
        )
