"""`python -m tests.support.emulator FOLDER`: serves until it is ended; prints its port."""

import asyncio
import sys
from pathlib import Path

import uvloop
from moto import mock_aws

from tests.support.emulator.server import Emulator


async def main(folder: Path) -> None:
    """Serve."""
    emulator = Emulator(folder)
    server = await asyncio.start_server(emulator.serve, "127.0.0.1", 0, limit=1 << 26, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
with mock_aws():
    uvloop.run(main(Path(sys.argv[1])))
