"""Logging: one line per event on standard error, as text or as JSON."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from afterglow.errors import InvalidArgument

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")


class OneLine(logging.Formatter):
    """Time, level, process, logger, message; a traceback is joined into the same line.

    A message that is a JSON object is written as ``event key=value …``: a line is either text or JSON.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s pid=%(process)d %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return super().format(record).replace("\r", "").replace("\n", " | ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  named by logging
        """The line without a traceback."""
        fields = _json_object(record.message)
        if fields is not None:
            event = [str(fields.pop("event"))] if "event" in fields else []
            record.message = " ".join(event + [f"{key}={_text(value)}" for key, value in fields.items()])
        return super().formatMessage(record)


class JsonLine(logging.Formatter):
    """The same fields as one JSON object; a message that is a JSON object itself becomes an object."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        text = record.getMessage()
        message: object = _json_object(text) or text
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


def _json_object(message: str) -> dict[str, Any] | None:
    """The object that a message is, None for a text."""
    if not message.startswith("{"):
        return None
    try:
        fields = json.loads(message)
    except ValueError:
        return None  # a text that only begins like an object
    return fields if isinstance(fields, dict) else None


def _text(value: object) -> str:
    """A value of a field: a word as it is, anything else in JSON."""
    is_word = isinstance(value, str) and value.isprintable() and not {" ", '"', "="}.intersection(value) and value
    return str(value) if is_word else json.dumps(value, ensure_ascii=False)


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
