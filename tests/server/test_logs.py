"""One line per event."""

import logging
import sys

from afterglow.server.logs import OneLine


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        record = logging.LogRecord("afterglow.x", logging.ERROR, "", 1, "no %s\r\n", ("luck",), sys.exc_info())
    line = OneLine().format(record)
    assert "\n" not in line
    assert "ERROR" in line
    assert "afterglow.x: no luck" in line
    assert "ValueError: first | second" in line
