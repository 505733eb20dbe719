"""The bounds of settings: what would lose data or lock clients out is refused at the start, with its name."""

from dataclasses import fields
from pathlib import Path

import pytest

from afterglow.settings import AWS_DEFAULTS, LAMBDA_DEFAULTS, LOCAL_DEFAULTS, Settings, bounds, from_environment
from afterglow.settings.values import TYPES
from tests.support.commands import run_command

NUMBERS = [name for name, value_type in TYPES.items() if value_type in {int, float}]
ZERO_IS_SAFE = {
    "port",
    "max_read_seconds",
    "max_result_bytes",
    "max_response_bytes",
    "compress_min_bytes",
    "log_inline_max_bytes",
    "flush_idle_seconds",
    "max_segment_vector_bytes",
    "recall_sample",
    "exact_search_max_rows",
    "retention_seconds",
    "retention_bytes",
    "erase_seconds",
    "ttl_sweep_seconds",
    "log_end_cache_seconds",
    "max_memtable_bytes",
    "import_max_rejected_rows",
    "embedding_query_cache",
    "cache_max_bytes",
    "auth_cache_seconds",
    "auth_attempts_per_minute",
    "slow_request_seconds",
    "slow_writes_ops",
    "traces_share",
    "keep_alive_seconds",
    "shutdown_seconds",
}
"""Settings for which 0 means "no limit", "never" or "at once"."""


@pytest.mark.parametrize("name", NUMBERS)
def test_zero_is_refused_unless_it_is_safe(name: str) -> None:
    environ = {f"AFTERGLOW_{name.upper()}": "0"}
    if name in ZERO_IS_SAFE:
        assert getattr(from_environment(environ), name) == 0
    else:
        with pytest.raises(ValueError, match=rf"^AFTERGLOW_{name.upper()} must be .*, got 0(\.0)?$"):
            from_environment(environ)


@pytest.mark.parametrize("name", [name for name in NUMBERS if name.endswith("_seconds")])
def test_no_period_is_too_long_for_a_clock(name: str) -> None:
    """Neither a date nor a wait of the operating system can hold ten thousand years."""
    with pytest.raises(ValueError, match=f"^AFTERGLOW_{name.upper()} must be "):
        from_environment({f"AFTERGLOW_{name.upper()}": str(10**12)})


@pytest.mark.parametrize("defaults", [LOCAL_DEFAULTS, AWS_DEFAULTS, LAMBDA_DEFAULTS])
def test_the_defaults_are_within_their_bounds(defaults: Settings) -> None:
    bounds.check(defaults, [setting.name for setting in fields(Settings)], account=defaults != LOCAL_DEFAULTS)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("GC_GRACE_SECONDS", "0.5", "from 1 to"),
        ("AUTH_CACHE_SECONDS", "1e9", "at most 86400"),
        ("LOG_SEAL_TTL_SECONDS", "10", "from 600 to"),
        ("MAX_CONNECTIONS", "0", "at least 1"),
        ("FLUSH_OPS", "400001", "at most MAX_UNFLUSHED_OPS, which is 400000"),
        ("MAX_UNFLUSHED_OPS", "100", "at least FLUSH_OPS, which is 8192"),
        ("TRACES_SHARE", "1.1", "at most 1"),
    ],
)
def test_a_dangerous_value_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^AFTERGLOW_{name} must be {message}"):
        from_environment({f"AFTERGLOW_{name}": text})


@pytest.mark.parametrize(("name", "text"), [("GC_GRACE_SECONDS", "60"), ("LOG_INLINE_MAX_BYTES", "1000000")])
def test_an_account_has_narrower_bounds(name: str, text: str) -> None:
    """It has no lock between the indexers of two machines, and DynamoDB limits an item."""
    environ = {f"AFTERGLOW_{name}": text}
    from_environment(environ)
    for defaults in (AWS_DEFAULTS, LAMBDA_DEFAULTS):
        with pytest.raises(ValueError, match=f"^AFTERGLOW_{name} must be "):
            from_environment(environ, defaults)


def test_a_command_refuses_to_start_and_touches_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    result = run_command("run", "--path", str(data), "--port", "0", env={"AFTERGLOW_GC_GRACE_SECONDS": "0"})
    assert (result.returncode, data.exists()) == (2, False)
    assert "AFTERGLOW_GC_GRACE_SECONDS must be from 1 to" in result.stderr
