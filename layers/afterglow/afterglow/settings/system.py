"""The clock and the source of randomness of a process."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random, SystemRandom


@dataclass(frozen=True, slots=True)
class System:
    """The clock and the source of randomness."""

    now: Callable[[], float] = time.time
    """Unix seconds. The wall clock may jump: it dates things, and never decides how long to wait."""
    monotonic: Callable[[], float] = time.monotonic
    """Seconds since an arbitrary start; never goes back. For waiting, deadlines and the age of cached values."""
    sleep: Callable[[float], None] = time.sleep
    random: Random = field(default_factory=SystemRandom)

    def new_id(self) -> uuid.UUID:
        """A random version 4 UUID."""
        return uuid.UUID(int=self.random.getrandbits(128), version=4)

    def nonce(self) -> str:
        """96 random bits in hex: a unique identifier of one attempt to write."""
        return f"{self.random.getrandbits(96):024x}"
