"""An asynchronous client behind a synchronous interface, so that one scenario tests both."""

import asyncio
import inspect
from typing import Any


def blocking(subject: Any, runner: asyncio.Runner) -> Any:
    """`subject` with methods that block on the runner's loop; the collections they return are wrapped too."""
    return _Blocking(subject, runner)


class _Blocking:
    def __init__(self, subject: Any, runner: asyncio.Runner) -> None:
        self._subject = subject
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._subject, name)
        return self._wait_for(value) if inspect.iscoroutinefunction(value) else value

    def _wait_for(self, method: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            result = self._runner.run(method(*arguments, **options))
            return blocking(result, self._runner) if _is_collection(result) else result

        return call


def _is_collection(result: Any) -> bool:
    return any(kind.__name__ == "AsyncCollection" for kind in type(result).__mro__)
