"""The functions as Lambda loads them, in this process, and the events they are sent."""

import asyncio
import itertools
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from tests.support.aws import Made

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "events"
COLLECTION = "00000000-0000-4000-8000-000000000001"
"""The collection that the events are about; its real id takes this one's place."""

_loads = itertools.count()


@dataclass(frozen=True, slots=True)
class Context:
    """The Lambda context of an invocation."""

    milliseconds: int = 900_000
    aws_request_id: str = "3e1c0b52-8f0b-4f3c-9b1e-5d1f6a7b8c9d"
    memory_limit_in_mb: str = "1769"
    function_name: str = "afterglow"

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


def event(name: str, collection: str = COLLECTION) -> dict[str, Any]:
    """The event of `events/<name>.json`, about this collection."""
    text = (EVENTS / f"{name}.json").read_text()
    found: dict[str, Any] = json.loads(text.replace(COLLECTION, collection))
    return found


def variables(made: Made, cache: Path) -> dict[str, str]:
    """The environment that the template gives a function, deployed with the parameter Authentication=off."""
    return {
        "AFTERGLOW_AUTH": "off",
        "AFTERGLOW_TABLE": made.table,
        "AFTERGLOW_BUCKET": made.bucket,
        "AFTERGLOW_QUEUE": made.queue,
        "AFTERGLOW_CACHE_DIR": str(cache),
    }


@contextmanager
def loaded(name: str, environment: Mapping[str, str]) -> Iterator[ModuleType]:
    """`functions/<name>/app.py`, freshly loaded in this environment, for the length of the block."""
    library = logging.getLogger("afterglow")
    before = (library.handlers, library.level, library.propagate)
    spec = spec_from_file_location(f"function_{name}_{next(_loads)}", ROOT / "functions" / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    try:
        with mock.patch.dict("os.environ", environment):
            spec.loader.exec_module(module)
            yield module
    finally:
        library.handlers, library.level, library.propagate = before
        if "respond" in vars(module):
            module.respond.close()
        if "engine" in vars(module):
            module.engine.close()
        asyncio.set_event_loop(None)
