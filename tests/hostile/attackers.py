"""The process of the attackers: many connections, each with one attack after the other, from one seed.

Arguments: port, collection, key, connections, seconds, seed. Prints, as JSON, how often each attack got each status.
"""

import asyncio
import json
import random
import socket
import sys
import time
from collections import Counter
from contextlib import suppress

from tests.hostile.attacks import ATTACKS, HOST, Connection, Target


async def attack(target: Target, number: int, until: float, seed: int, counts: Counter[str]) -> None:
    """One attacker: every second one has a key."""
    rng = random.Random(f"{seed}-{number}")
    if number % 2:
        target = Target(target.port, target.collection, None)
    await asyncio.sleep(rng.uniform(0, 2))
    while time.monotonic() < until:
        chosen = rng.choice(ATTACKS)
        outcome = "closed"
        with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (HOST, target.port))
            reader, writer = await asyncio.open_connection(sock=sock, limit=16_384)
            try:
                outcome = str(await chosen(target, Connection(reader, writer), rng))
            finally:
                writer.transport.abort()
        counts[f"{chosen.__name__} {outcome}"] += 1
        await asyncio.sleep(rng.uniform(0.05, 1.0))


async def run(target: Target, connections: int, seconds: float, seed: int) -> Counter[str]:
    """All attackers side by side."""
    counts: Counter[str] = Counter()
    until = time.monotonic() + seconds
    await asyncio.gather(*(attack(target, number, until, seed, counts) for number in range(connections)))
    return counts


def main() -> None:
    port, collection, key, connections, seconds, seed = sys.argv[1:]
    target = Target(int(port), collection, key)
    print(json.dumps(asyncio.run(run(target, int(connections), float(seconds), int(seed)))))


if __name__ == "__main__":
    main()
