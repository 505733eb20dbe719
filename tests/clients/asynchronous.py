"""The scenario with `AsyncHttpClient`; `-m tests.clients.asynchronous URL` prints its outcome."""

import asyncio
import json
import sys
from typing import Any

import chromadb
from chromadb.config import Settings

from tests.clients.blocking import blocking
from tests.clients.scenario import address, run, version


async def _connect(url: str) -> Any:
    host, port = address(url)
    return await chromadb.AsyncHttpClient(host=host, port=port, settings=Settings(anonymized_telemetry=False))


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        json.dump(run(blocking(runner.run(_connect(sys.argv[1])), runner), version()), sys.stdout)
