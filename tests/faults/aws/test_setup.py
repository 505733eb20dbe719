"""Queue, clients, disk, and what was set up wrong: each is told so that one knows what to do."""

import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import xxhash

from afterglow.errors import StorageFull, Unavailable
from afterglow.segment.array_file import FileRef, MappedFile
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.disk_cache import DiskCache
from afterglow.storage.aws.objects import S3Objects
from afterglow.storage.aws.queue import SqsQueue
from afterglow.storage.aws.table import DynamoTable
from afterglow.storage.ports import Stores
from tests.contract.racing import in_threads
from tests.support.aws import Made, environment, guarded_clients, stores_on_aws
from tests.support.fault_injection import FaultInjector, error_response, response_lost
from tests.support.stores import SMALL

FAILED = error_response(500, "InternalServerError")
CONTENT = bytes(range(250)) * 18


def test_a_message_that_passes_is_not_noticed(stores: Stores, clients: Clients) -> None:
    sqs = FaultInjector(clients.sqs)
    sqs.plan("SendMessage", response_lost)
    stores.queue.send("group", "body")
    assert sqs.attempts["SendMessage"] == 2
    answer = clients.sqs.receive_message(QueueUrl=stores.settings.queue, MaxNumberOfMessages=10)
    assert [message["Body"] for message in answer["Messages"]] == ['{"group":"group","body":"body"}']


def test_a_message_that_does_not_pass_is_unavailable(stores: Stores, clients: Clients) -> None:
    FaultInjector(clients.sqs).always("SendMessage", FAILED)
    with pytest.raises(Unavailable, match=r"queue afterglow\.fifo"):
        stores.queue.send("group", "body")


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"])
def test_denied_access_names_what_to_check(stores: Stores, dynamodb: FaultInjector, code: str) -> None:
    dynamodb.always("GetItem", error_response(400, code))
    with pytest.raises(Unavailable, match=rf"table afterglow refused access \({code}.*role's policy"):
        stores.table.get("p", "s")
    assert dynamodb.attempts["GetItem"] == 1


def test_refused_access_to_objects(stores: Stores, s3: FaultInjector) -> None:
    s3.always("GetObject", error_response(403, "AccessDenied"))
    with pytest.raises(Unavailable, match="refused access"):
        stores.objects.get("key")


def test_missing_resources_are_named(made: Made, clients: Clients, stores: Stores, tmp_path: Path) -> None:
    objects = S3Objects(clients, "nobody-s-bucket", DiskCache(tmp_path, 1_000), stores.system)
    for call in (
        lambda: DynamoTable(clients, "none").get("p", "s"),
        lambda: objects.get("key"),
        lambda: objects.local_path("key"),
        lambda: objects.put("key", b""),
        lambda: SqsQueue(clients, made.queue.replace("afterglow", "none")).send("group", "body"),
    ):
        with pytest.raises(Unavailable, match="deploy the stack"):
            call()


def test_no_credentials(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(Unavailable, match="without AWS credentials"):
        DynamoTable(Clients(), made.table).get("p", "s")


def test_no_region(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(Unavailable, match="set AWS_DEFAULT_REGION"):
        DynamoTable(Clients(), made.table).get("p", "s")


def test_a_cache_too_small_says_which_setting(made: Made, clients: Clients, tmp_path: Path) -> None:

    stores = stores_on_aws(made, tmp_path, replace(SMALL, cache_max_bytes=4_000), clients=clients)
    stores.objects.put("key", CONTENT)
    with pytest.raises(StorageFull, match="AFTERGLOW_CACHE_MAX_BYTES"):
        stores.objects.local_path("key")
    assert stores.objects.get("key") == CONTENT


def test_mapped_files_stay_and_others_make_room(made: Made, clients: Clients, tmp_path: Path) -> None:

    stores = stores_on_aws(made, tmp_path, replace(SMALL, cache_max_bytes=10_000), clients=clients)
    for key in ("mapped", "second", "third"):
        stores.objects.put(key, CONTENT)
    mapped = MappedFile(
        stores.objects, FileRef("mapped", len(CONTENT), xxhash.xxh3_64_hexdigest(CONTENT)), verify=False
    )
    second = stores.objects.local_path("second")
    third = stores.objects.local_path("third")
    assert (mapped.path.exists(), second.exists(), third.exists()) == (True, False, True)
    assert mapped.map[:] == CONTENT


def test_concurrent_first_uses_create_one_client(made: Made) -> None:
    clients = guarded_clients()
    assert len({id(client) for client in in_threads(16, lambda _: clients.dynamodb)}) == 1
    before = clients.s3
    clients.forget_credentials()
    assert clients.s3 is not before
    clients.forget_credentials()


def test_their_patience_is_bounded(clients: Clients) -> None:
    for client, seconds, attempts in ((clients.dynamodb, 2, 3), (clients.s3, 5, 3), (clients.sqs, 2, 2)):
        config: Any = client.meta.config
        assert (config.connect_timeout, config.read_timeout) == (1, seconds)
        assert config.retries == {"mode": "standard", "total_max_attempts": attempts}


@pytest.mark.slow
def test_a_service_that_swallows_everything_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:

    monkeypatch.undo()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for name, value in environment(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}").items():
            monkeypatch.setenv(name, value)
        clients = Clients()
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            DynamoTable(clients, "afterglow").get("p", "s")
        assert time.monotonic() - begun < 20
        clients.forget_credentials()
