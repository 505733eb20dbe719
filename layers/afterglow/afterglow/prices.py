"""What AWS bills for requests, in dollars: the list prices of US East (N. Virginia), November 2026, no free tier.

Sources: the public pricing pages of DynamoDB (on demand, standard class), S3 (standard class) and SQS (FIFO). Other
regions differ by up to some tens of percent.
"""

from dataclasses import dataclass

from afterglow.metering import Usage

_MILLION = 1_000_000
_PUTS = {"PutObject", "CopyObject", "ListObjectsV2", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}
_FREE = {"DeleteObject", "DeleteObjects", "AbortMultipartUpload"}


@dataclass(frozen=True, slots=True)
class RequestPrices:
    """Dollars per unit."""

    read_unit: float = 0.125 / _MILLION
    """DynamoDB, on demand: 4 KB read strongly consistent."""
    write_unit: float = 0.625 / _MILLION
    """DynamoDB, on demand: 1 KB written."""
    s3_put: float = 5.0 / _MILLION
    """S3: a PUT, LIST or part of an upload."""
    s3_get: float = 0.40 / _MILLION
    """S3: a GET or HEAD."""
    queue_request: float = 0.50 / _MILLION
    """SQS, FIFO: a request of up to 64 KB."""


def stores_dollars(usage: Usage, prices: RequestPrices = RequestPrices()) -> float:
    """What the requests to DynamoDB, S3 and SQS cost."""
    dollars = usage.read_units * prices.read_unit + usage.write_units * prices.write_unit
    for name, count in usage.calls.items():
        service, _, operation = name.partition(".")
        if service == "s3" and operation not in _FREE:
            dollars += count * (prices.s3_put if operation in _PUTS else prices.s3_get)
        elif service == "sqs":
            dollars += count * prices.queue_request
    return dollars
