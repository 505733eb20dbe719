"""The environment of this process and of its children, besides the settings: processors, and glibc's allocator.

By default glibc raises the size from which it allocates by mmap up to 32 MB as a process runs, never returns twice as
much, and has an arena for almost every thread, so a process retains the memory of its largest request or step. With a
small fixed size every array of some hundred kilobytes is mapped and unmapped, and its pages are zeroed one by one: a
third of the processor time of indexing, and nearly half of that of a search in lists. So both limits are fixed, above
the arrays of almost all searches and of a chunk of a compaction.
"""

import os
from collections.abc import Mapping

MMAP_BYTES = 16 * 1024 * 1024
"""Arrays from this size on are returned to the system when they are freed."""
RETAINED_BYTES = 64 * 1024 * 1024
"""So much free memory at the end of an arena is retained for the next arrays."""
ARENAS = 2
"""Arenas of a process."""


def tracing_enabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether X-Ray tracing is enabled for this Lambda function (a variable that the stack sets)."""
    return environ.get("POWERTOOLS_TRACE_DISABLED", "true").lower() in {"false", "0"}


def limit_blas_threads() -> None:
    """Limit OpenBLAS to the calling thread, unless the environment sets a number. Call before numpy is imported.

    Requests already run in parallel; OpenBLAS's own pool would compete with them for the cores and start slowly.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def ignore_pydantic_plugins() -> None:
    """Tell pydantic not to look for plugins, unless the environment does. For processes that are all our own.

    Before the first request is parsed it would read the metadata of every installed distribution.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a child process: this process's, with OpenBLAS limited to one thread, and the allocator."""
    allocator = {
        "MALLOC_MMAP_THRESHOLD_": str(MMAP_BYTES),
        "MALLOC_TRIM_THRESHOLD_": str(RETAINED_BYTES),
        "MALLOC_ARENA_MAX": str(ARENAS),
    }
    return {"OPENBLAS_NUM_THREADS": "1", **allocator, **environ}


def worker_environment(metrics_directory: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a server's worker process, which shares its metrics in that directory."""
    return {**environ, "PROMETHEUS_MULTIPROC_DIR": metrics_directory}
