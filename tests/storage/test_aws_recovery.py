"""What was deleted since a moment comes back, and a restored table is protected as the template's is."""

import time
from collections.abc import Iterator

import pytest

from afterglow.errors import Unavailable
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.recovery import notify_importer, protect_table, undelete_since
from tests.support import aws
from tests.support.aws import Made


@pytest.fixture
def account() -> Iterator[tuple[Clients, Made]]:
    with aws.moto_aws():
        made, clients = aws.make(), aws.guarded_clients()
        clients.s3.put_bucket_versioning(Bucket=made.bucket, VersioningConfiguration={"Status": "Enabled"})
        yield clients, made


def stored(clients: Clients, bucket: str) -> dict[str, bytes]:
    keys = [info["Key"] for info in clients.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {key: clients.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def test_deleted_objects_come_back_and_a_second_run_finds_nothing(account: tuple[Clients, Made]) -> None:
    clients, made = account
    moment = time.time()
    keys = [f"collection/segments/{number}" for number in range(5)]
    for key in keys:
        clients.s3.put_object(Bucket=made.bucket, Key=key, Body=key.encode())
    before = stored(clients, made.bucket)
    for key in keys[:3]:
        clients.s3.delete_object(Bucket=made.bucket, Key=key)
    clients.s3.delete_object(Bucket=made.bucket, Key=keys[0])  # by two collectors
    assert len(stored(clients, made.bucket)) == 2
    assert undelete_since(clients, made.bucket, moment) == 3
    assert stored(clients, made.bucket) == before
    assert undelete_since(clients, made.bucket, moment) == 0


def test_what_was_deleted_before_stays_deleted(account: tuple[Clients, Made]) -> None:
    clients, made = account
    clients.s3.put_object(Bucket=made.bucket, Key="a", Body=b"a")
    clients.s3.delete_object(Bucket=made.bucket, Key="a")
    assert undelete_since(clients, made.bucket, time.time() + 60) == 0
    assert stored(clients, made.bucket) == {}


def test_a_marker_that_may_not_be_removed_is_an_error(
    account: tuple[Clients, Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    clients, made = account
    clients.s3.put_object(Bucket=made.bucket, Key="a", Body=b"a")
    clients.s3.delete_object(Bucket=made.bucket, Key="a")
    denied = {"Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "no s3:DeleteObjectVersion"}]}
    monkeypatch.setattr(clients.s3, "delete_objects", lambda **_: denied)
    with pytest.raises(Unavailable, match="a: AccessDenied"):
        undelete_since(clients, made.bucket, 0)


def test_a_restored_table_is_protected(account: tuple[Clients, Made]) -> None:
    clients, _ = account
    clients.dynamodb.create_table(
        TableName="restored",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert protect_table(clients, "restored") == ["expiry", "point-in-time recovery", "deletion protection"]
    expiry = clients.dynamodb.describe_time_to_live(TableName="restored")["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    assert clients.dynamodb.describe_table(TableName="restored")["Table"]["DeletionProtectionEnabled"]
    assert protect_table(clients, "restored") == []


def test_uploads_notify_the_importer(account: tuple[Clients, Made]) -> None:
    clients, made = account
    queue = clients.sqs.create_queue(QueueName="imports")["QueueUrl"]
    notify_importer(clients, made.bucket, queue)
    clients.s3.put_object(Bucket=made.bucket, Key="imports/a/b/c/file.jsonl", Body=b"{}")
    clients.s3.put_object(Bucket=made.bucket, Key="other", Body=b"{}")
    bodies = [
        message["Body"]
        for message in clients.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        if "TestEvent" not in message["Body"]
    ]
    assert len(bodies) == 1
    assert "imports/a/b/c/file.jsonl" in bodies[0].replace("%2F", "/")
