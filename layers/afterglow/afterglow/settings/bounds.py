"""The values that settings allow: a value that would lose data, or lock every client out, is refused at the start.

A limit has a least value where zero does not mean "no limit", and a most value where more would not be stored or would
switch a protection off. The defaults are within all bounds.
"""

from collections.abc import Collection
from typing import NamedTuple

from afterglow.settings.model import Index, Settings

MAX_PORT = 65_535
MAX_WORKERS = 64
_HUNDRED_YEARS = 100 * 365 * 24 * 3600
_MAX_THREADS = 256
_MIB = 1024 * 1024
_INF = float("inf")


class Bounds(NamedTuple):
    """The least and the most value of a setting."""

    least: float = 0
    most: float = _INF

    def __str__(self) -> str:
        if self.most == _INF:
            return f"at least {self.least:g}"
        return f"from {self.least:g} to {self.most:.15g}" if self.least else f"at most {self.most:.15g}"


_BOUNDS = {
    "port": Bounds(most=MAX_PORT),
    "workers": Bounds(1, MAX_WORKERS),
    "recall_sample": Bounds(0, 1),
    "traces_share": Bounds(0, 1),
    # Garbage collection would delete what a fork, a write or a job on the way is about to name.
    "gc_grace_seconds": Bounds(1, _HUNDRED_YEARS),
    # A writer that is slower than the seal's lifetime would append to a dropped collection.
    "log_seal_ttl_seconds": Bounds(600, _HUNDRED_YEARS),
    # The same file would be imported twice, and a running import would lose its progress.
    "import_report_ttl_seconds": Bounds(3600, _HUNDRED_YEARS),
    # A revoked credential works as long.
    "auth_cache_seconds": Bounds(0, 24 * 3600),
    # No work would be done, or every request refused.
    "max_batch_size": Bounds(1),
    "max_body_bytes": Bounds(1),
    "max_query_vectors": Bounds(1),
    "max_filter_conditions": Bounds(1),
    "max_filter_values": Bounds(1),
    "flush_ops": Bounds(1),
    "flush_bytes": Bounds(1),
    "notify_every_ops": Bounds(1),
    "notify_every_entries": Bounds(1),
    "max_unflushed_ops": Bounds(1),
    "compaction_memory_bytes": Bounds(16 * _MIB),
    "compaction_threads": Bounds(1, _MAX_THREADS),
    "hnsw_min_rows": Bounds(2),
    "lists_min_rows": Bounds(2),
    "scrub_max_bytes": Bounds(1),
    "max_open_collections": Bounds(1),
    "import_max_line_bytes": Bounds(1024),
    "import_max_decompression_ratio": Bounds(1),
    "import_memory_bytes": Bounds(16 * _MIB),
    "import_range_bytes": Bounds(1024),
    "import_max_attempts": Bounds(1),
    "embedding_threads": Bounds(1, _MAX_THREADS),
    "embedding_max_pending_texts": Bounds(1),
    "embedding_timeout_seconds": Bounds(0.1, _HUNDRED_YEARS),
    "reranker_timeout_seconds": Bounds(0.1, _HUNDRED_YEARS),
    "max_connections": Bounds(1),
    "max_inflight_body_bytes": Bounds(_MIB),
    "max_inflight_response_bytes": Bounds(_MIB),
    "max_request_line_bytes": Bounds(512),
    "max_header_bytes": Bounds(512),
    "client_timeout_seconds": Bounds(0.1, 24 * 3600),
}
_ACCOUNT_BOUNDS = {
    # No lock: a function may write an object 15 minutes before the manifest that names it.
    "gc_grace_seconds": Bounds(900, _HUNDRED_YEARS),
    # An item of DynamoDB has at most 400 KB.
    "log_inline_max_bytes": Bounds(0, 256 * 1024),
}


class OutOfBounds(ValueError):
    """A setting has a value that is not allowed; `str` says what is, as in "must be at least 1"."""

    def __init__(self, name: str, allowed: str) -> None:
        super().__init__(allowed)
        self.name = name


def check(settings: Settings, names: Collection[str], *, account: bool) -> None:
    """Check the settings of these names, which do not have their defaults. Raises OutOfBounds.

    `account`: whether the settings are for an AWS account, which has no locks.
    """
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            bounds = _bounds(name, account=account)
            if not bounds.least <= value <= bounds.most:
                raise OutOfBounds(name, str(bounds))
    if settings.index not in set(Index):
        raise OutOfBounds("index", f"one of {', '.join(Index)}")
    if not 0 < settings.recall_target <= 1:
        raise OutOfBounds("recall_target", "above 0 and at most 1")
    if settings.flush_ops > settings.max_unflushed_ops:
        # Writes would be refused before the log is long enough for a flush.
        if "flush_ops" in names:
            raise OutOfBounds("flush_ops", f"at most MAX_UNFLUSHED_OPS, which is {settings.max_unflushed_ops}")
        raise OutOfBounds("max_unflushed_ops", f"at least FLUSH_OPS, which is {settings.flush_ops}")


def _bounds(name: str, *, account: bool) -> Bounds:
    if account and name in _ACCOUNT_BOUNDS:
        return _ACCOUNT_BOUNDS[name]
    return _BOUNDS.get(name, Bounds(most=_HUNDRED_YEARS) if name.endswith("_seconds") else Bounds())
