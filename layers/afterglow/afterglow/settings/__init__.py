"""The inputs of a process besides requests and stores: environment variables, its settings file, clock, randomness.

Only this package reads them; everything else gets them as `Settings` and `System` arguments. Tests pass their own
instances instead of patching.

::

    resolve   the effective settings, and where each value comes from
    files     the settings file: ours in TOML, or Chroma's in YAML
    chroma    Chroma's own variables and keys, and what they mean here
    values    one value of a setting, parsed and checked
    bounds    the values that settings allow
    model     the settings, with their defaults for a data directory
    defaults  other defaults for stores on AWS and in a Lambda function
    process   the environment of child processes, and the limits of the allocator
    system    the clock and the source of randomness
"""

from afterglow.settings.bounds import MAX_PORT, MAX_WORKERS
from afterglow.settings.defaults import AWS_DEFAULTS, LAMBDA_DEFAULTS, LOCAL_DEFAULTS
from afterglow.settings.model import ANY_ORIGIN, PREFIX, Index, Settings
from afterglow.settings.process import (
    ARENAS,
    MMAP_BYTES,
    RETAINED_BYTES,
    child_environment,
    ignore_pydantic_plugins,
    limit_blas_threads,
    tracing_enabled,
    worker_environment,
)
from afterglow.settings.resolve import (
    CONFIG_VARIABLE,
    Resolved,
    from_environment,
    resolve,
    use_settings_file,
)
from afterglow.settings.system import System

__all__ = [
    "ANY_ORIGIN",
    "ARENAS",
    "AWS_DEFAULTS",
    "CONFIG_VARIABLE",
    "LAMBDA_DEFAULTS",
    "LOCAL_DEFAULTS",
    "MAX_PORT",
    "MAX_WORKERS",
    "MMAP_BYTES",
    "PREFIX",
    "RETAINED_BYTES",
    "Index",
    "Resolved",
    "Settings",
    "System",
    "child_environment",
    "from_environment",
    "ignore_pydantic_plugins",
    "limit_blas_threads",
    "resolve",
    "tracing_enabled",
    "use_settings_file",
    "worker_environment",
]
