"""The latency of the emulated S3: time to the first byte, rates, refusals."""

import math
import random
import time
from dataclasses import dataclass, field

_P99_DEVIATIONS = 2.326


@dataclass
class Weather:
    """Milliseconds and MB/s; 0: none, or unlimited."""

    median_ms: float = 0.0
    p99_ms: float = 0.0
    connection_mbs: float = 0.0
    total_mbs: float = 0.0
    table_ms: float = 0.0
    gets_per_second: int = 0
    _free_at: float = field(default=0.0, repr=False)
    _allowance: float = field(default=0.0, repr=False)
    _counted_at: float = field(default=0.0, repr=False)

    def first_byte_seconds(self, source: random.Random) -> float:
        """A sample of the time to the first byte."""
        if not self.median_ms:
            return 0.0
        spread = math.log(self.p99_ms / self.median_ms) / _P99_DEVIATIONS
        return self.median_ms / 1e3 * math.exp(source.gauss(0, spread))

    def transfer_seconds(self, size: int) -> float:
        """How long to wait after sending `size` bytes on a connection, given what all connections have sent."""
        now = time.monotonic()
        wait = size / self.connection_mbs / 1e6 if self.connection_mbs else 0.0
        if self.total_mbs:
            self._free_at = max(self._free_at, now) + size / self.total_mbs / 1e6
            wait = max(wait, self._free_at - now)
        return wait

    def refuses_get(self) -> bool:
        """Whether a GET exceeds the rate: a token bucket of a tenth of a second."""
        if not self.gets_per_second:
            return False
        now, depth = time.monotonic(), self.gets_per_second / 10
        self._allowance = min(depth, self._allowance + (now - self._counted_at) * self.gets_per_second)
        self._counted_at = now
        if self._allowance < 1:
            return True
        self._allowance -= 1
        return False


LAMBDA = Weather(median_ms=25, p99_ms=120, connection_mbs=80, total_mbs=100, table_ms=3, gets_per_second=5_500)
"""What a Lambda function sees of S3 and DynamoDB in its region."""
