"""Files put into a deployment's bucket, which enforces IAM, become records: every format, bad ones, killed and twice.

AFTERGLOW_BENCH_CORPUS names a folder with another corpus, as for the bench; without it the shipped sample is tiled.
"""

import gzip
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest

from tests.benchmarks import corpus as corpora
from tests.bulk import files
from tests.bulk.files import FORMATS, Sample
from tests.bulk.test_import_bounds import bomb
from tests.functions.loading import event, variables
from tests.stack.test_deploy import eventually
from tests.support.aws import make
from tests.support.deployment import Deployment, client
from tests.support.ministack import MiniStack, fresh_account, ministack
from tests.support.runtime import Function, TimedOut

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

ROWS = 1_500
FOLDER = "imports/default_tenant/default_database/"


@pytest.fixture(scope="module")
def of() -> Sample:
    folder = os.environ.get("AFTERGLOW_BENCH_CORPUS")
    found = corpora.load(Path(folder) if folder else None, ROWS)
    # The formats' writers want the same keys in every record.
    metadatas = [
        {"section": metadata["section"], "size": metadata["size"], "ratio": 0.5, "even": True}
        for metadata in found.metadatas
    ]
    return Sample(found.ids, found.embeddings, [*found.documents], metadatas)


@pytest.fixture
def chroma(deployed: Deployment) -> "Iterator[ClientAPI]":
    with deployed.client() as found:
        yield found


def put(deployed: Deployment, collection: str, name: str, content: bytes) -> None:
    client(deployed.aws, "s3").put_object(
        Bucket=deployed.outputs["Bucket"], Key=f"{FOLDER}{collection}/{name}", Body=content
    )


def reports(chroma: "ClientAPI", collection: str, path: str = "") -> Any:
    """What the deployment's API says of imports; of one collection."""
    server: Any = chroma._server  # type: ignore[attr-defined]
    found = server._make_request("get", f"/tenants/default_tenant/databases/default_database/imports{path}")
    return found if path else [report for report in found if report["collection"] == collection]


def ended(chroma: "ClientAPI", collection: str, deployed: Deployment, count: int = 1) -> list[dict[str, Any]]:
    """The reports of a collection's imports, once this many imports have ended."""
    found: list[dict[str, Any]] = []

    def are_done() -> bool:
        found[:] = [report for report in reports(chroma, collection) if report["state"] != "running"]
        return len(found) >= count

    eventually(are_done, f"the import into {collection} does not end", deployed)
    return found


def check(chroma: "ClientAPI", collection: str, of: Sample) -> None:
    found = chroma.get_collection(collection)
    assert found.count() == len(of.ids)
    for start in range(0, len(of.ids), 250):
        ids = of.ids[start : start + 250]
        got = found.get(ids=ids, include=["embeddings", "documents", "metadatas"])
        assert got["embeddings"] is not None
        assert got["documents"] is not None
        assert got["metadatas"] is not None
        rows = {name: at for at, name in enumerate(got["ids"])}
        order = [rows[name] for name in ids]
        vectors = np.array(got["embeddings"], dtype=np.float32)
        np.testing.assert_array_equal(vectors[order], of.vectors[start : start + 250])
        assert [got["documents"][at] for at in order] == of.documents[start : start + 250]
        assert [got["metadatas"][at] for at in order] == of.metadatas[start : start + 250]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format(name: str, deployed: Deployment, chroma: "ClientAPI", of: Sample, tmp_path: Path) -> None:
    path, collection = FORMATS[name](of, tmp_path), f"imported-{name}"
    for other in sorted(tmp_path.iterdir()):
        if other != path:
            put(deployed, collection, other.name, other.read_bytes())
    put(deployed, collection, path.name, path.read_bytes())
    began = time.perf_counter()
    report = next(report for report in ended(chroma, collection, deployed) if report["state"] == "done")
    print(f"{name}: {len(of.ids) / (time.perf_counter() - began):.0f} rows/s from put to report")
    assert (report["rows"], report["rejected"], report["reason"]) == (len(of.ids), 0, None)
    check(chroma, collection, of)


def test_planted_bad_rows(deployed: Deployment, chroma: "ClientAPI", of: Sample) -> None:
    lines = files.lines(of).splitlines()
    planted = {10: b"no json", 200: b'{"id": "x"}', 1_000: b'{"id": "x", "embedding": [1]}'}
    for at, line in planted.items():
        lines.insert(at - 1, line)
    put(deployed, "planted", "bad.jsonl.gz", gzip.compress(b"\n".join(lines)))
    (report,) = ended(chroma, "planted", deployed)
    assert (report["state"], report["rows"], report["rejected"]) == ("done", len(of.ids), 3)
    errors = reports(chroma, "planted", f"/{report['id']}/errors")
    assert [error["line"] for error in errors] == list(planted)
    assert [error["file"] for error in errors] == ["bad.jsonl.gz"] * 3
    check(chroma, "planted", of)


def test_what_cannot_be_imported(deployed: Deployment, chroma: "ClientAPI", of: Sample, tmp_path: Path) -> None:
    whole = files.write_parquet(of, tmp_path).read_bytes()
    put(deployed, "broken", "short.parquet", whole[: len(whole) // 2])
    put(deployed, "broken", "bomb.jsonl.gz", bomb("gzip", 500))
    put(deployed, "broken", "notes.txt", b"hello")
    reasons = {report["file"]: report["reason"] for report in ended(chroma, "broken", deployed, 3)}
    assert "not a complete Parquet file" in reasons["short.parquet"]
    assert "expands to more than" in reasons["bomb.jsonl.gz"]
    assert "files with this name are not imported" in reasons["notes.txt"]
    dead_letters = client(deployed.aws, "sqs").get_queue_attributes(
        QueueUrl=deployed.outputs["ImportDeadLetters"], AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert dead_letters["Attributes"]["ApproximateNumberOfMessages"] == "0"


def test_messages_that_come_twice(deployed: Deployment, chroma: "ClientAPI", of: Sample) -> None:
    content = files.lines(of)
    put(deployed, "twice", "records.jsonl", content)
    sqs = client(deployed.aws, "sqs")
    queue = sqs.get_queue_url(QueueName=deployed.resources()["Storage/ImportQueue"].rpartition("/")[2])["QueueUrl"]
    (report,) = ended(chroma, "twice", deployed)
    for _ in range(3):
        message = {"import": report["id"], "tenant": "default_tenant", "database": "default_database", "range": 0}
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    put(deployed, "after", "records.jsonl", content)
    ended(chroma, "after", deployed)
    check(chroma, "twice", of)
    assert chroma.get_collection("twice").get_indexing_status().total_ops == len(of.ids)


def test_an_invocation_that_is_killed_midway(build: Path, of: Sample, tmp_path: Path) -> None:
    """Under Lambda's runtime client, whose time is over in the middle of a range; then the same message again."""
    with ministack() as stack:
        _killed(stack, build, of, tmp_path)


def _killed(stack: MiniStack, build: Path, of: Sample, tmp_path: Path) -> None:
    account = stack.environment(fresh_account())
    with mock.patch.dict("os.environ", account):
        made = make()
    given = {
        **account,
        **variables(made, tmp_path / "cache"),
        "AFTERGLOW_IMPORT_QUEUE": made.queue,
        "OPENBLAS_NUM_THREADS": "1",
    }
    layers = [build / name for name in ("DependenciesLayer", "AfterglowLayer", "ImportsLayer")]
    with mock.patch.dict("os.environ", account):
        import boto3

        s3 = boto3.client("s3")
        for name, body in (
            ("records.jsonl.gz", gzip.compress(files.lines(of), 1)),
            ("records.jsonl.gz.import.json", b'{"batch_size": 10}'),
        ):
            s3.put_object(Bucket=made.bucket, Key=f"{FOLDER}imported/{name}", Body=body)
        s3.close()

    def start(name: str, seconds: float) -> Function:
        return Function(build / name, layers, given, tmp_path / f"{name}.log", seconds=seconds)

    put_event = event("importer-put")
    put_event["Records"][0]["body"] = put_event["Records"][0]["body"].replace("some+records.jsonl", "records.jsonl.gz")
    with start("ApiFunction", 29) as api:
        api.invoke(event("api-heartbeat"))

        def asked(path: str) -> Any:
            heartbeat = event("api-heartbeat")
            request = {**heartbeat, "rawPath": path}
            request["requestContext"]["http"]["path"] = path
            return json.loads(api.invoke(request)["body"])

        with start("ImporterFunction", 300) as importer:
            # The queue of this account is in order, so that what the function sends to itself is refused: by then it
            # has its plan.
            importer.invoke(put_event)
        imports = "/api/v2/tenants/default_tenant/databases/default_database/imports"
        (report,) = asked(imports)
        message = {"import": report["id"], "tenant": "default_tenant", "database": "default_database", "range": 0}
        put_event["Records"][0]["body"] = json.dumps(message)
        rows = []
        for seconds in (2.5, 2.0, 300):
            try:
                with start("ImporterFunction", seconds) as importer:
                    importer.invoke(put_event)
            except TimedOut:
                pass
            rows.append(asked(imports)[0]["rows"])
        print(f"rows after each invocation: {rows}")
        assert 0 < rows[0] < rows[-1] == len(of.ids)
        collection = asked(imports)[0]["collection_id"]
        base = "/api/v2/tenants/default_tenant/databases/default_database/collections/"
        assert asked(f"{base}{collection}/indexing_status")["total_ops"] == len(of.ids)
        assert asked(f"{base}{collection}/count") == len(of.ids)
