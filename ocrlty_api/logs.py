"""What the API logs, and how: one line a record, as JSON or text, with the request's id.

Belongs here: formats, levels, and the request id of the running task. Does not: what is worth a line.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

from ocrlty_pipeline.settings import Settings

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
# A record's attribute with facts for programs; in text they follow the message.
FIELDS = "fields"
# Chatty about each request at INFO, or written by our own access log.
QUIET = ("httpx2", "httpcore2", "alembic", "dagster")


def configure_logging(settings: Settings) -> None:
    """Send everything to standard error; uvicorn's own access log, which would show queries, is silenced."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        first, newline, rest = super().format(record).partition("\n")
        return f"{first} {facts}{newline}{rest}" if facts else f"{first}{newline}{rest}"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    request_id = REQUEST_ID.get()
    return {**({"request_id": request_id} if request_id else {}), **getattr(record, FIELDS, {})}
