"""Structured logs: one JSON object a line, with request id, contract and release where they are known."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

MAX_TEXT = 8192  # characters of one field; a log line is not a place for bodies

_FIELDS = ("request_id", "contract", "release", "replica")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where records of at least ``level`` go; ``file`` ``None``: standard error."""

    level: str = "WARNING"
    file: Path | None = None


class JsonFormatter(logging.Formatter):
    """JSON escapes control characters, so no text from outside can forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "pid": os.getpid(),
            "message": record.getMessage()[:MAX_TEXT],
        }
        for name in _FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                entry[name] = str(value)[:MAX_TEXT]
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)[:MAX_TEXT]
        return json.dumps(entry, ensure_ascii=True)


def configure(settings: LogSettings) -> None:
    """Send ForestFlow's and uvicorn's records of this process where ``settings`` say."""
    handler = _handler(settings.file)
    handler.setFormatter(JsonFormatter())
    for name in ("forestflow", "uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(settings.level if name == "forestflow" else max("WARNING", settings.level, key=_severity))


def _handler(file: Path | None) -> logging.Handler:
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            return logging.FileHandler(file, encoding="utf-8")  # append mode: processes share the file
        except OSError:
            pass  # another node of the cluster: what goes to standard error is in Ray's own logs there
    return logging.StreamHandler(sys.stderr)


def _severity(level: str) -> int:
    return logging.getLevelNamesMapping()[level]
