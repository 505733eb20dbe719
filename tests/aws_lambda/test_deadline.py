"""A cold request that takes too long is refused in time, and the next one goes on where it ended."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from afterglow.api.app import create_app
from afterglow.aws_lambda.engine import open_engine
from afterglow.aws_lambda.http import HttpFunction
from afterglow.deployment.aws import open_aws
from afterglow.settings import LAMBDA_DEFAULTS, System
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.object_reader import Reader, SpanRequest
from tests.benchmarks.cold_account import Account, account
from tests.support.stores import ManualClock

ROWS = np.random.default_rng(7).standard_normal((400, 8), dtype=np.float32)
READ_SECONDS = 9.0
REFUSED_AFTER = 25.0


class SlowReader:
    """A reader whose every call takes nine seconds of the clock."""

    def __init__(self, reader: Reader, clock: ManualClock, read: list[str]) -> None:
        self._reader = reader
        self._clock = clock
        self._read = read

    def read_spans(self, requests: Sequence[SpanRequest]) -> None:
        """Read all spans."""
        self._reader.read_spans(requests)
        self._read += [f"{request.key} {request.bounds}" for request in requests]
        self._clock.sleep(READ_SECONDS)

    def read_objects(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes of each object."""
        found = self._reader.read_objects(keys)
        self._read += keys
        self._clock.sleep(READ_SECONDS)
        return found

    def close(self) -> object:
        """Close the reader."""
        return self._reader.close()


class SlowClients(Clients):
    """Clients whose object readers are slow; `read` has what was read."""

    def __init__(self, system: System, clock: ManualClock) -> None:
        super().__init__(system)
        self._clock = clock
        self.read: list[str] = []

    def _create_reader(self, bucket: str) -> Reader:
        return SlowReader(super()._create_reader(bucket), self._clock, self.read)


def query(loaded: Account) -> dict[str, Any]:
    """The event of a query."""
    return {
        "version": "2.0",
        "rawPath": loaded.path("query"),
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "sourceIp": "127.0.0.1"}},
        "body": json.dumps({"query_embeddings": [ROWS[5].tolist()], "n_results": 1}),
    }


@pytest.mark.slow
def test_a_cold_query_is_refused_in_time_and_goes_on_at_the_next_request(tmp_path: Path) -> None:
    clock = ManualClock()
    system = System(monotonic=clock.now)
    with account(ROWS, tmp_path / "account", replace(LAMBDA_DEFAULTS, hnsw_min_rows=64, lists_min_rows=64)) as loaded:
        settings = replace(loaded.settings, cache_dir=str(tmp_path / "cache"), auth="off")
        clients = SlowClients(system, clock)
        engine = open_engine(open_aws(settings, system, clients), settings, system)
        handler = HttpFunction(create_app(engine, settings, system, allow_reset=False, threads=0), system)
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: 29_000)
        began = clock.now()
        answer = handler(query(loaded), context)
        assert answer["statusCode"] == 503
        assert REFUSED_AFTER <= clock.now() - began < 29.0
        assert int(answer["headers"]["retry-after"]) >= 1
        error = json.loads(answer["body"])
        assert error["error"] == "ChromaError"
        assert "still being loaded; try again" in error["message"]
        for _ in range(5):
            if answer["statusCode"] == 200:
                break
            answer = handler(query(loaded), context)
        assert json.loads(answer["body"])["ids"] == [["row-5"]]
        assert len(clients.read) == len(set(clients.read)), "what one request has read, the next does not read again"
        handler.close()
        engine.close()
