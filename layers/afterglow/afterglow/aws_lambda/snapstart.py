"""Snapshots of a started container (SnapStart): what to do before one is taken, and when one was restored.

Before, everything is imported and has run once, so that no restored container pays for it. After, connections and
credentials of the time of the snapshot are forgotten: they belong to a container that is long gone. What must be unique
needs no care: randomness comes from the system, see `settings.Ambient`.
"""

import importlib
import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

_log = logging.getLogger(__name__)
_HOOKS = "snapshot_restore_py"
"""Part of the runtime, and nowhere else."""
_LAZY = (
    "afterglow.api.openapi",
    "re2",
)
"""What is imported when it is first needed."""

HEALTHCHECK: dict[str, Any] = {
    "version": "2.0",
    "rawPath": "/api/v2/healthcheck",
    "requestContext": {"http": {"method": "GET"}},
}
"""A request that asks the stores for an answer, and so makes connections' code run once."""


def register_hooks(first_requests: Callable[[], object], forget_credentials: Callable[[], None]) -> None:
    """Have `first_requests` made before a snapshot, and `forget` called before it and after each restore."""
    if find_spec(_HOOKS) is None:
        return
    hooks: Any = importlib.import_module(_HOOKS)

    def before() -> None:
        for name in _LAZY:
            importlib.import_module(name)
        first_requests()
        forget_credentials()

    hooks.register_before_snapshot(before)
    hooks.register_after_restore(forget_credentials)
