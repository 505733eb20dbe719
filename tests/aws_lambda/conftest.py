import io
import itertools
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from afterglow.aws_lambda import observability

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Takes what was logged so far; afterwards the library's loggers are as they were."""
    library = logging.getLogger("afterglow")
    before = (library.handlers, library.level, library.propagate)
    written = io.StringIO()
    handler = observability.logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    stdout = handler.setStream(written)
    monkeypatch.setattr(observability, "_invocations", itertools.count())
    # The engine of another test's server may have something to say meanwhile.
    monkeypatch.setattr(logging.getLogger("afterglow.jobs.index_scheduler"), "disabled", True)

    def take() -> list[dict[str, Any]]:
        text = written.getvalue()
        written.seek(0)
        written.truncate()
        return [json.loads(line) for line in text.splitlines()]

    yield take
    handler.setStream(stdout)
    library.handlers, library.level, library.propagate = before
