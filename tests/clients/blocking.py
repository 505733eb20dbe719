"""An asynchronous client in the shape of a synchronous one, so that the one scenario judges both."""

import asyncio
import inspect
from typing import Any


def blocking(subject: Any, runner: asyncio.Runner) -> Any:
    """`subject` with methods that wait on the runner's loop; collections that they answer are wrapped too."""
    return _Blocking(subject, runner)


class _Blocking:
    def __init__(self, subject: Any, runner: asyncio.Runner) -> None:
        self._subject = subject
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._subject, name)
        return self._waiting(value) if inspect.iscoroutinefunction(value) else value

    def _waiting(self, method: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            answer = self._runner.run(method(*arguments, **options))
            return blocking(answer, self._runner) if type(answer).__name__ == "AsyncCollection" else answer

        return call
