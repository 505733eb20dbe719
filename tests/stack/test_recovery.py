"""The runbook of docs/aws.md: the table is restored, another stack adopts it and the bucket, and all data is there."""

import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.stack.test_deploy import eventually, invoke
from tests.support.deployment import ACCOUNT, Deployment, client, stack_of
from tests.support.ministack import MiniStack
from tests.support.server import script

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

RECORDS = 3_000


def recover(stack: Deployment, moment: datetime, cache: Path) -> tuple[int, str]:
    """`afterglow recover` from a machine with the account's credentials; its exit code and what it printed."""
    done = subprocess.run(
        [script("afterglow"), "recover", "--at", moment.strftime("%Y-%m-%dT%H:%M:%SZ")],
        env={
            **stack.aws.environment(ACCOUNT),
            "AFTERGLOW_TABLE": stack.outputs["Table"],
            "AFTERGLOW_BUCKET": stack.outputs["Bucket"],
            "AFTERGLOW_IMPORT_QUEUE": stack.outputs["ImportQueue"],
            "AFTERGLOW_CACHE_DIR": str(cache),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_restored_table_in_another_stack(aws: MiniStack, deployed: Deployment, tmp_path: Path) -> None:
    first = stack_of(deployed, "first")
    embeddings = np.random.default_rng(1).normal(size=(RECORDS, 8)).astype(np.float32)
    with first.client() as chroma:
        collection = chroma.create_collection("packages")
        for start in range(0, RECORDS, 300):
            rows = slice(start, start + 300)
            collection.add(ids=[f"{row}" for row in range(start, start + 300)], embeddings=embeddings[rows])
        invoke(first, "MaintenanceFunction", {"task": "enqueue_stale"})
        eventually(lambda: collection.get_indexing_status().num_unindexed_ops == 0, "not indexed", first)
        expected = collection.query(query_embeddings=embeddings[:5], n_results=3)["ids"]

    # The moment, to which the table is restored afterwards. Then collectors delete objects.
    moment = datetime.now(UTC)
    client(aws, "dynamodb").restore_table_to_point_in_time(
        SourceTableName=first.outputs["Table"], TargetTableName="restored", RestoreDateTime=moment
    )
    time.sleep(1)
    s3, bucket = client(aws, "s3"), first.outputs["Bucket"]
    keys = [info["Key"] for info in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)

    # The first stack is deleted; its bucket stays, and the second stack adopts both.
    stacks = client(aws, "cloudformation")
    for name in (first.resources()["Storage"], first.name):
        stacks.delete_stack(StackName=name)
        stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    second = stack_of(deployed, "second", ExistingTable="restored", ExistingBucket=bucket, GarbageCollection="off")
    assert (second.outputs["Table"], second.outputs["Bucket"]) == ("restored", bucket)
    code, printed = recover(second, moment, tmp_path / "cache")
    assert f"{len(keys)} deleted objects restored" in printed, printed
    assert "expiry, point-in-time recovery, deletion protection enabled" in printed
    assert code == 0, printed
    assert sorted(info["Key"] for info in s3.list_objects_v2(Bucket=bucket)["Contents"]) == sorted(keys)

    # Requests, the indexer and the importer work on the adopted stores.
    with second.client() as chroma:
        collection = chroma.get_collection("packages")
        assert collection.count() == RECORDS
        assert collection.query(query_embeddings=embeddings[:5], n_results=3)["ids"] == expected
        collection.add(ids=["new"], embeddings=embeddings[:1] + 9)
        invoke(second, "MaintenanceFunction", {"task": "enqueue_stale"})
        eventually(lambda: collection.get_indexing_status().num_unindexed_ops == 0, "not indexed", second)
        s3.put_object(
            Bucket=bucket,
            Key="imports/default_tenant/default_database/packages/more.jsonl",
            Body=b'{"id": "imported", "embedding": [1, 2, 3, 4, 5, 6, 7, 8]}\n',
        )
        eventually(lambda: collection.count() == RECORDS + 2, "the file was not imported", second)

    # What is lost for good is named.
    lost = next(key for key in keys if key.endswith("/vectors"))
    for version in s3.list_object_versions(Bucket=bucket, Prefix=lost)["Versions"]:
        s3.delete_object(Bucket=bucket, Key=lost, VersionId=version["VersionId"])
    code, printed = recover(second, moment, tmp_path / "other-cache")
    assert code == 1
    assert lost in printed, printed
