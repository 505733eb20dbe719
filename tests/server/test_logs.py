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


def test_fields_are_text_in_a_line_of_text() -> None:
    message = '{"event":"request failed","status":404,"path":"/a","message":"no \\"x\\"\\n","key":""}'
    record = logging.LogRecord("afterglow.api", logging.INFO, "", 1, "%s", (message,), None)
    line = OneLine().format(record)
    assert line.endswith(r'''afterglow.api: request failed status=404 path=/a message="no \"x\"\n" key=""''')
    record = logging.LogRecord("afterglow.api", logging.INFO, "", 1, "%s", ("{not JSON",), None)
    assert OneLine().format(record).endswith("afterglow.api: {not JSON")
