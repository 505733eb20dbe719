"""SnapStart hooks: what to do before a snapshot of a started container is taken, and after one is restored.

Before: everything is imported and has run once, so that no restored container pays for it. After: connections and
credentials from before the snapshot are discarded, as they belong to a container that is gone. Unique values need no
care: randomness comes from the operating system, see `settings.System`.
"""

import importlib
import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from afterglow.api.v2.routes import ROUTES

_log = logging.getLogger(__name__)
_HOOKS = "snapshot_restore_py"
"""A module of the Lambda runtime, which exists nowhere else."""
_LAZY = (
    "afterglow.api.openapi",
    "afterglow.embedding.bm25",
    "re2",
    "usearch.index",
)
"""Modules that are otherwise imported on first use, besides those of the routes."""

HEALTHCHECK: dict[str, Any] = {
    "version": "2.0",
    "rawPath": "/api/v2/healthcheck",
    "requestContext": {"http": {"method": "GET"}},
}
"""A request that uses the stores, and so runs the code of connections once."""


def register_hooks(first_requests: Callable[[], object], forget_credentials: Callable[[], None]) -> None:
    """Call `first_requests` before a snapshot, and `forget_credentials` before it and after each restore."""
    if find_spec(_HOOKS) is None:
        return
    hooks: Any = importlib.import_module(_HOOKS)

    def before() -> None:
        for name in _LAZY:
            importlib.import_module(name)
        for route in ROUTES:
            route.loaded()
        first_requests()
        forget_credentials()

    hooks.register_before_snapshot(before)
    hooks.register_after_restore(forget_credentials)
