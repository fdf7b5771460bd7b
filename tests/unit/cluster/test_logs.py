"""One record, one line, whatever is in it."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from forestflow.cluster import logs


@pytest.fixture(autouse=True)
def untouched():
    """``configure`` is for whole processes: put the loggers back."""
    loggers = [logging.getLogger(name) for name in ("forestflow", "uvicorn", "asyncio")]
    before = [(x, list(x.handlers), x.propagate, x.level) for x in loggers]
    yield
    for logger, handlers, propagate, level in before:
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers[:] = handlers
        logger.propagate = propagate
        logger.setLevel(level)


def record(message, *args, exc_info=None, **extra):
    made = logging.LogRecord("forestflow.x", logging.ERROR, "f.py", 1, message, args, exc_info)
    vars(made).update(extra)
    return made


def formatted(made):
    line = logs.JsonFormatter().format(made)
    assert "\n" not in line
    assert line.isascii()
    assert all(c.isprintable() for c in line)
    return json.loads(line)


def test_text_from_outside_cannot_forge_a_line_or_steer_a_terminal():
    evil = 'x\n{"level": "INFO"}\r\x1b[31mred\x1b]0;title\x07\u2028\u0085\x00\ud800"'
    entry = formatted(record("refused %s", evil, request_id=evil, release=evil))
    assert entry["message"] == f"refused {evil}"
    assert entry["request_id"] == evil
    assert entry["level"] == "ERROR"
    assert entry["time"].endswith("+00:00")


def test_everything_is_capped():
    try:
        raise ValueError("y" * 100_000)
    except ValueError:
        entry = formatted(record("x" * 100_000, exc_info=sys.exc_info(), contract="z" * 100_000))
    assert len(entry["message"]) == len(entry["exception"]) == len(entry["contract"]) == logs.MAX_TEXT


def test_fields_that_are_not_known_are_left_out():
    assert set(formatted(record("x", secret="s", replica=7))) == {
        "time", "level", "logger", "pid", "message", "replica",
    }  # fmt: skip


def test_goes_to_the_file_that_is_made_with_its_folder(tmp_path):
    file = tmp_path / "deep" / "log.jsonl"
    logs.configure(logs.LogSettings("INFO", file))
    logging.getLogger("forestflow.a").info("ours")
    logging.getLogger("uvicorn.part").info("only warnings of others")
    logging.getLogger("uvicorn.part").warning("theirs")
    assert [json.loads(line)["message"] for line in file.read_text().splitlines()] == ["ours", "theirs"]


def test_goes_to_standard_error_without_a_file_or_where_it_cannot_be_written(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    for file in (None, tmp_path / "taken" / "log.jsonl"):
        logs.configure(logs.LogSettings("WARNING", file))
        logging.getLogger("forestflow.a").warning("hear me")
        logging.getLogger("forestflow.a").info("not me")
        (line,) = capsys.readouterr().err.splitlines()
        assert json.loads(line)["message"] == "hear me"
