"""Logging: one line per event, on standard error."""

import logging
import sys


class OneLine(logging.Formatter):
    """Time, level, process, logger, message; a traceback is joined into the same line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s pid=%(process)d %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return super().format(record).replace("\r", "").replace("\n", " | ")


def configure() -> None:
    """Log afterglow's events from INFO up, and other libraries' from WARNING up, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("afterglow").setLevel(logging.INFO)
