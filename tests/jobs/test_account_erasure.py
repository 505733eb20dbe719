"""Erasure in an account with a versioned bucket: no trace in any item or object, and none in old versions on demand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from afterglow.catalog import erasures
from afterglow.collection import Engine
from afterglow.collection.types import Selection
from afterglow.jobs import erasure
from afterglow.jobs.index_messages import IDLE, handle
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.old_versions import delete_old_versions
from afterglow.storage.ports import Stores
from tests.jobs.test_erasure import SECRET_ID, TRACES, Erasing, nth_write
from tests.support import aws
from tests.support.faulty import Crash, Fault, Faults
from tests.support.stores import WITH_RETENTION, Clock, new_collection, quick_folder, with_faults

pytestmark = pytest.mark.slow

LATER = 2**33


@dataclass
class Account:
    """The bytes of a table and of a versioned bucket."""

    clients: Clients
    made: aws.Made

    def items(self) -> dict[str, bytes]:
        """All items, whole."""
        pages = self.clients.dynamodb.get_paginator("scan").paginate(TableName=self.made.table)
        return {f"{item['pk']['S']}/{item['sk']['S']}": _bytes(item) for page in pages for item in page["Items"]}

    def objects(self) -> dict[str, bytes]:
        """All current objects."""
        keys = [one["Key"] for one in self.clients.s3.list_objects_v2(Bucket=self.made.bucket).get("Contents", [])]
        return {key: self._object(key) for key in keys}

    def versions(self) -> dict[str, bytes]:
        """All versions of objects, also of those that were deleted."""
        found = self.clients.s3.list_object_versions(Bucket=self.made.bucket).get("Versions", [])
        return {one["VersionId"]: self._object(one["Key"], VersionId=one["VersionId"]) for one in found}

    def _object(self, key: str, **version: str) -> bytes:
        return self.clients.s3.get_object(Bucket=self.made.bucket, Key=key, **version)["Body"].read()  # type: ignore[arg-type]


def _bytes(item: Any) -> bytes:
    return b"\0".join(
        content if isinstance(content, bytes) else str(content).encode()
        for value in item.values()
        for content in value.values()
    )


def traces(stored: dict[str, bytes]) -> dict[str, list[bytes]]:
    """Which of them have a trace of the record."""
    found = {name: [trace for trace in TRACES if trace in content] for name, content in stored.items()}
    return {name: has for name, has in found.items() if has}


@contextmanager
def account_with_a_record() -> Iterator[tuple[Erasing, Account]]:
    """The record and its past, in a collection and in a fork."""
    with aws.moto_aws(), quick_folder() as folder:
        made, clients, clock = aws.make(), aws.guarded_clients(), Clock()
        clients.s3.put_bucket_versioning(Bucket=made.bucket, VersioningConfiguration={"Status": "Enabled"})
        settings = replace(WITH_RETENTION, retention_seconds=1e6, erase_seconds=3_600.0, log_inline_max_bytes=2_000)
        stores = aws.stores_on_aws(made, folder / "cache", settings, clock)
        scope, collection = new_collection(stores)
        env = Erasing(stores, clock, scope, collection.id)
        env.fill()
        Engine(stores).fork(scope, "fork")
        yield env, Account(clients, made)


def run(stores: Stores, env: Erasing) -> None:
    """What the functions of maintenance, flushes and compactions do, over some grace times."""
    for _ in range(5):
        erasure.advance(stores)
        for member in Engine(env.stores).catalog.collections():
            for group in (f"{member}", f"{member}:compact", f"{member}"):
                handle(stores, f'{{"group": "{group}", "body": "{IDLE}"}}')
        env.wait_for_grace()


def test_no_trace_is_left_in_table_and_bucket() -> None:
    with account_with_a_record() as (env, account):
        before = account.objects()
        assert traces(account.items())
        assert {name.split("/")[1] for name in traces(before)} >= {"segments", "archive"}
        assert any(name.endswith(".batch") for name in traces(before))
        Engine(env.stores).erase(env.scope, Selection([SECRET_ID]))
        run(env.stores, env)
        (found,) = erasures.list_all(env.stores.table)
        assert (found.state, found.ids, len(found.members or ())) == ("finished", (), 2)
        assert (traces(account.items()), traces(account.objects())) == ({}, {})
        assert set(traces(before)) <= set(found.objects or ())
        assert traces(account.versions()), "the bucket keeps what was deleted, for a recovery"
        for member in found.members or ():
            delete_old_versions(account.clients, account.made.bucket, f"{member}/", LATER)
        assert traces(account.versions()) == {}
        assert {"a", "b", "the-0"} <= set(env.ids())


def test_a_crash_leaves_it_resumable() -> None:
    """After some of the writes; a crash at any is in `test_erasure`, on a directory."""
    number = 7
    while True:
        with account_with_a_record() as (env, account):
            faulty = with_faults(env.stores, Faults(nth_write(number, Fault.CRASH_AFTER)))
            crashed = False
            try:
                Engine(faulty).erase(env.scope, Selection([SECRET_ID]))
                run(faulty, env)
            except Crash:
                crashed = True
            run(env.stores, env)
            (found,) = erasures.list_all(env.stores.table)
            assert found.state == "finished", number
            assert (traces(account.items()), traces(account.objects())) == ({}, {}), number
        if not crashed:
            break
        number += 25
    assert number > 20
