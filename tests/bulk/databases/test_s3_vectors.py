"""Amazon S3 Vectors, by botocore's Stubber: what the service is asked, and what becomes of its answers."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import botocore.session
import pytest
from botocore.stub import Stubber

from afterglow.bulk.databases import s3_vectors
from afterglow.bulk.import_file import NullListener, import_file
from afterglow.bulk.sidecar import GivenOptions
from afterglow.errors import AfterglowError
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.vector_bucket import S3VectorBucket
from tests.bulk.files import TARGET, TINY, import_fixture
from tests.bulk.small_files import stored

BUCKET, INDEX = {"vectorBucketName": "media"}, {"vectorBucketName": "media", "indexName": "films"}
LISTED = {**INDEX, "returnData": True, "returnMetadata": True}
ARN = "arn:aws:s3vectors:eu-central-1:123456789012:bucket/media/index/films"
DESCRIBED = {
    **INDEX,
    "indexArn": ARN,
    "creationTime": datetime(2026, 1, 1, tzinfo=UTC),
    "dataType": "float32",
    "dimension": 2,
    "distanceMetric": "euclidean",
}
FIRST = [
    {"key": "a", "data": {"float32": [1.0, 2.0]}, "metadata": {"text": "first", "year": 1999}},
    {"key": "b", "data": {"float32": [3.0, 4.0]}},
]
SECOND = [{"key": "c", "data": {"float32": [5.0, 6.0]}, "metadata": {"genre": ["x", "y"]}}]


@pytest.fixture
def bucket() -> Iterator[tuple[S3VectorBucket, Stubber]]:
    session: Any = botocore.session.get_session()
    client = session.create_client(
        "s3vectors", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stubber:
        yield S3VectorBucket(cast(Clients, SimpleNamespace(s3_vectors=client)), "media"), stubber
        stubber.assert_no_pending_responses()


def add_pages(stubber: Stubber) -> None:
    stubber.add_response("list_vectors", {"vectors": FIRST, "nextToken": "two"}, LISTED)
    stubber.add_response("list_vectors", {"vectors": SECOND}, {**LISTED, "nextToken": "two"})


def test_vectors_become_records(bucket: tuple[S3VectorBucket, Stubber]) -> None:
    vectors, stubber = bucket
    listed = {**INDEX, "indexArn": ARN, "creationTime": DESCRIBED["creationTime"]}
    stubber.add_response("list_indexes", {"indexes": [listed]}, BUCKET)
    stubber.add_response("get_index", {"index": DESCRIBED}, INDEX)
    add_pages(stubber)  # the first rows, for the columns
    add_pages(stubber)
    assert vectors.indexes() == ["films"]
    with import_fixture(TINY) as at:
        source = s3_vectors.open_collection(vectors, "films")
        report = import_file(at.context, source, TARGET, GivenOptions(), NullListener()).report
        assert (report.state, report.reason, report.rows, report.rejected) == ("done", None, 3, 0)
        assert stored(at) == {
            "a": ([1, 2], "first", {"year": 1999}),
            "b": ([3, 4], None, None),
            "c": ([5, 6], None, {"genre": ["x", "y"]}),
        }


def test_rows_can_be_read_from_any_row_on(bucket: tuple[S3VectorBucket, Stubber]) -> None:
    vectors, stubber = bucket
    stubber.add_response("get_index", {"index": DESCRIBED}, INDEX)
    source = s3_vectors.open_collection(vectors, "films")
    for start in range(4):
        add_pages(stubber)
        rows = [row for page in source.pages(start) for row in page]
        assert [row["(id)"] for row in rows] == ["a", "b", "c"][start:]


def test_a_refusal_of_the_service(bucket: tuple[S3VectorBucket, Stubber]) -> None:
    vectors, stubber = bucket
    stubber.add_client_error("get_index", "NotFoundException", "no such index", 404)
    with pytest.raises(AfterglowError, match="films"):
        s3_vectors.open_collection(vectors, "films")
