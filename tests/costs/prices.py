"""What AWS bills, in dollars: the list prices of US East (N. Virginia), November 2026, without the free tier.

Sources: the public pricing pages of Lambda, API Gateway (HTTP APIs), DynamoDB (on demand, standard class), S3 (standard
class) and SQS (FIFO). Other regions differ by up to some tens of percent; pass a `Prices` of your own.
"""

from dataclasses import dataclass

from afterglow.metering import Usage

MILLION = 1_000_000
KB, GB = 1024, 1024**3
_PUTS = {"PutObject", "CopyObject", "ListObjectsV2", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}
_FREE = {"DeleteObject", "DeleteObjects", "AbortMultipartUpload"}


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars per unit."""

    read_unit: float = 0.125 / MILLION
    """DynamoDB, on demand: 4 KB read strongly consistent."""
    write_unit: float = 0.625 / MILLION
    """DynamoDB, on demand: 1 KB written."""
    table_month: float = 0.25
    """DynamoDB: a GB stored for a month."""
    table_recovery_month: float = 0.20
    """DynamoDB: point-in-time recovery of a GB for a month."""
    s3_put: float = 5.0 / MILLION
    """S3: a PUT, LIST or part of an upload."""
    s3_get: float = 0.40 / MILLION
    """S3: a GET or HEAD."""
    bucket_month: float = 0.023
    """S3: a GB stored for a month."""
    queue_request: float = 0.50 / MILLION
    """SQS, FIFO: a request of up to 64 KB."""
    function_request: float = 0.20 / MILLION
    """Lambda: an invocation."""
    function_second_arm: float = 0.0000133334
    """Lambda, arm64: a GB of memory for a second."""
    function_second_x86: float = 0.0000166667
    """Lambda, x86-64: a GB of memory for a second."""
    gateway_request: float = 1.0 / MILLION
    """API Gateway, HTTP API: a request, for each 512 KB of it."""
    traffic: float = 0.09
    """A GB sent to the internet."""


def stores_dollars(usage: Usage, prices: Prices = Prices()) -> float:
    """What the requests to DynamoDB, S3 and SQS cost."""
    dollars = usage.read_units * prices.read_unit + usage.write_units * prices.write_unit
    for name, count in usage.calls.items():
        service, _, operation = name.partition(".")
        if service == "s3" and operation not in _FREE:
            dollars += count * (prices.s3_put if operation in _PUTS else prices.s3_get)
        elif service == "sqs":
            dollars += count * prices.queue_request
    return dollars


def function_dollars(seconds: float, memory_mb: int, *, arm: bool = True, prices: Prices = Prices()) -> float:
    """What an invocation of a Lambda function costs."""
    rate = prices.function_second_arm if arm else prices.function_second_x86
    return prices.function_request + seconds * memory_mb / 1024 * rate
