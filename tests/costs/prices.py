"""What AWS bills, in dollars: the list prices of US East (N. Virginia), November 2026, without the free tier.

Those of requests to stores are in the library (`afterglow.prices`), as `explain` has them.

Sources: the public pricing pages of Lambda, API Gateway (HTTP APIs), DynamoDB (on demand, standard class) and S3
(standard class). Other regions differ by up to some tens of percent; pass a `Prices` of your own.
"""

from dataclasses import dataclass

from afterglow.prices import RequestPrices

MILLION = 1_000_000
KB, GB = 1024, 1024**3


@dataclass(frozen=True, slots=True)
class Prices(RequestPrices):
    """Dollars per unit."""

    table_month: float = 0.25
    """DynamoDB: a GB stored for a month."""
    table_recovery_month: float = 0.20
    """DynamoDB: point-in-time recovery of a GB for a month."""
    bucket_month: float = 0.023
    """S3: a GB stored for a month."""
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


def function_dollars(seconds: float, memory_mb: int, *, arm: bool = True, prices: Prices = Prices()) -> float:
    """What an invocation of a Lambda function costs."""
    rate = prices.function_second_arm if arm else prices.function_second_x86
    return prices.function_request + seconds * memory_mb / 1024 * rate
