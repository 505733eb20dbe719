"""Logging: one line per event on standard error, as text or as JSON."""

import json
import logging
import sys
from datetime import UTC, datetime

from afterglow.errors import InvalidArgument

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")


class OneLine(logging.Formatter):
    """Time, level, process, logger, message; a traceback is joined into the same line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s pid=%(process)d %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return super().format(record).replace("\r", "").replace("\n", " | ")


class JsonLine(logging.Formatter):
    """The same fields as one JSON object; a message that is a JSON object itself becomes an object."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        message: object = record.getMessage()
        if isinstance(message, str) and message.startswith("{"):
            try:
                message = json.loads(message)
            except ValueError:
                pass  # a text that only begins like an object
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "pid": record.process,
            "logger": record.name,
            "message": message,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str = "info", log_format: str = "text") -> None:
    """Log afterglow's events from `level` up, and other libraries' from WARNING up, to standard error.

    Raises InvalidArgument for an unknown level or format.
    """
    if level.lower() not in LEVELS:
        raise InvalidArgument(f"AFTERGLOW_LOG_LEVEL must be one of {', '.join(LEVELS)}, got {level!r}")
    if log_format.lower() not in FORMATS:
        raise InvalidArgument(f"AFTERGLOW_LOG_FORMAT must be one of {', '.join(FORMATS)}, got {log_format!r}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine() if log_format.lower() == "json" else OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("afterglow").setLevel(level.upper())
