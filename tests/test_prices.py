"""What AWS bills for the requests of an operation."""

import pytest

from afterglow.metering import Usage
from afterglow.prices import stores_dollars


def test_requests_have_the_prices_of_their_kind() -> None:
    usage = Usage()
    usage.call("dynamodb.Query", read_units=2.5)
    usage.call("dynamodb.PutItem", write_units=3)
    usage.call("s3.GetObject", read=10)
    usage.call("s3.PutObject", written=10)
    usage.call("s3.ListObjectsV2")
    usage.call("s3.DeleteObjects")
    usage.call("sqs.SendMessage")
    usage.count("embedded.openai", 7)
    in_millionths = 2.5 * 0.125 + 3 * 0.625 + 0.4 + 5 + 5 + 0.5
    assert stores_dollars(usage) == pytest.approx(in_millionths / 1e6)
    assert stores_dollars(Usage()) == 0
