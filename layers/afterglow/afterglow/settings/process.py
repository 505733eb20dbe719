"""The environment of this process and of its children, besides the settings."""

import os
from collections.abc import Mapping


def tracing_enabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether X-Ray tracing is enabled for this Lambda function (a variable that the stack sets)."""
    return environ.get("POWERTOOLS_TRACE_DISABLED", "true").lower() in {"false", "0"}


def limit_blas_threads() -> None:
    """Limit OpenBLAS to the calling thread, unless the environment sets a number. Call before numpy is imported.

    Requests already run in parallel; OpenBLAS's own pool would compete with them for the cores and start slowly.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a child process: this process's, with OpenBLAS limited to one thread.

    `MALLOC_MMAP_THRESHOLD_` makes glibc allocate large arrays by mmap, so that freeing them returns the memory to the
    system. By default glibc raises the threshold as a process runs, and an indexer would retain the memory of its
    largest step.
    """
    return {"OPENBLAS_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_ARENA_MAX": "2", **environ}


def worker_environment(metrics_directory: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a server's worker process, which shares its metrics in that directory."""
    return {**environ, "PROMETHEUS_MULTIPROC_DIR": metrics_directory}
