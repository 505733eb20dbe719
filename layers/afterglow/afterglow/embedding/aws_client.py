"""A client of an AWS service and the threads that call it, opened by the first text; embedders have one each.

Region, credentials and endpoint come from the standard AWS sources. botocore is imported when the client is opened.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from afterglow.errors import Unavailable

_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 2.0, 20.0, 3


class AwsClient:
    """For at most so many concurrent calls. `description` names the service in errors, `region` None: the default."""

    def __init__(self, service: str, description: str, concurrent_calls: int, *, region: str | None = None) -> None:
        self._service, self._description, self._region = service, description, region
        self._concurrent_calls = concurrent_calls
        self._lock = threading.Lock()
        self._client: Any = None
        self._pool: ThreadPoolExecutor | None = None

    def open(self) -> tuple[Any, ThreadPoolExecutor]:
        """The client and its threads. Raises Unavailable."""
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        with self._lock:
            if self._client is None or self._pool is None:
                config = Config(
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_READ_SECONDS,
                    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                    max_pool_connections=self._concurrent_calls,
                )
                try:
                    self._client = botocore.session.get_session().create_client(
                        self._service, region_name=self._region, config=config
                    )
                except BotoCoreError as error:
                    raise Unavailable(f"{self._description} cannot be called: {error}", 60) from error
                self._pool = ThreadPoolExecutor(self._concurrent_calls, thread_name_prefix=self._service)
            return self._client, self._pool

    def close(self) -> None:
        """Close threads and connections."""
        with self._lock:
            client, self._client = self._client, None
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        if client is not None:
            client.close()
