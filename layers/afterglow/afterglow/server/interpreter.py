"""Settings of the Python interpreter for a serving process: before the imports, and after startup."""

import gc
import sys

from afterglow import allocator
from afterglow.server import open_files
from afterglow.settings import ignore_pydantic_plugins, limit_blas_threads

_SWITCH_SECONDS = 0.0005


def before_imports() -> None:
    """Call before large imports. Garbage collection during imports finds nothing and takes a twentieth of the time."""
    gc.disable()
    limit_blas_threads()
    ignore_pydantic_plugins()
    allocator.set_limits()
    open_files.raise_limit()


def after_startup() -> None:
    """Call when the process is ready. Excludes the loaded modules from garbage collection, because they are permanent.

    Computing threads yield to responding threads ten times as often as by default: measured with four clients, the
    99th percentile of a query falls from 27 to 10 ms.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.freeze()
    gc.enable()
