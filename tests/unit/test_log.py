"""Log lines: on stderr, one for each event."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from uuid import UUID

import pytest
import structlog

from daemon.runtime import logs
from daemon.runtime.library_log import LibraryLog


def test_one_line_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    """An event is one line on stderr, with its time and its level, whatever its values hold; stdout
    stays for documents."""
    logs.configure()
    structlog.get_logger("x").info("delivery attempted", reason="two\nlines", destination="erp")
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    for piece in (
        "timestamp='20",
        "level='info'",
        "event='delivery attempted'",
        "destination='erp'",
        r"'two\nlines'",
    ):
        assert piece in err


def test_a_line_for_people_has_nothing_of_python(capsys: pytest.CaptureFixture[str]) -> None:
    """Yes and no, nothing, lists and tables are words, not the forms that Python has for them."""
    logs.configure()
    structlog.get_logger("x").info(
        "service stopped",
        everything_ended=True,
        reason=None,
        seconds=1.5,
        letters={"new": 2, "known": False},
        places=["erp", "mail"],
        id=UUID(int=7),
    )
    _, err = capsys.readouterr()
    assert err.rstrip().partition("event=")[2] == (
        "'service stopped' everything_ended=yes reason='' seconds=1.5 letters='new 2; known no' "
        "places='erp and mail' id='00000000-0000-0000-0000-000000000007'"
    )


def test_an_unexpected_error_says_where_and_not_what(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault is one line with its type and the way to it; its words, which may quote a letter or a
    secret, are left out."""
    logs.configure()
    try:
        int("Oppsigelse")
    except ValueError:
        structlog.get_logger("x").exception("the connector failed")
    _, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert "fault='ValueError'" in err
    assert re.search(r"at='.*test_log\.py:\d+ test_an_unexpected_error", err)
    assert "Oppsigelse" not in err


@pytest.fixture
def no_other_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's logging as in a process of its own: pytest's handlers are not there."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


def test_a_librarys_exception_says_where_and_not_what(
    no_other_handlers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a library logs of an exception is one line of ours without the exception's words, also
    where the library's own text quotes them; a warning without one keeps its words."""
    for _ in range(2):
        logs.configure()
    logger = logging.getLogger("some.library")
    try:
        int("Oppsigelse")
    except ValueError as error:
        logger.log(logging.ERROR, "failed: %r", error, exc_info=error)
    logger.warning("%d connections", 7)
    failed, warning = capsys.readouterr().err.splitlines()
    assert "Oppsigelse" not in failed
    assert "library='some.library'" in failed
    assert re.search(r"fault='ValueError' at='.*test_log\.py:\d+ test_a_librarys_ex", failed)
    assert "text='7 connections'" in warning


def test_a_librarys_faulty_record_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """A record whose values do not fit its text is a line as well, and no traceback."""
    logs.configure()
    values = ("seven",)
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%d connections", values, None)
    LibraryLog().emit(record)
    (line,) = capsys.readouterr().err.splitlines()
    assert "text='%d connections'" in line


def test_what_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """Details for developers, and what other libraries say about requests and statements, are not
    logged."""
    logs.configure()
    logs.configure()
    structlog.get_logger("x").debug("detail")
    for name in (
        "httpx",
        "sqlalchemy.engine",
        "alembic.runtime.migration",
        "apscheduler.scheduler",
    ):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
    assert capsys.readouterr() == ("", "")


def test_lines_that_were_lost_are_counted() -> None:
    """Lines that nobody read are counted, and said when somebody reads again; a line that was cut
    off spoils no other."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 8192)
    with os.fdopen(writing, "w") as stream, os.fdopen(reading, "rb", buffering=0) as reader:
        lines = logs.LogStream(stream)
        structlog.configure(
            processors=[structlog.processors.KeyValueRenderer()], logger_factory=lambda *_: lines
        )
        for line in ("whole " * 500, "cut off " * 700, "lost"):
            lines.msg(line)
        assert lines.reason == "its reader does not read"
        whole, cut_off = reader.read(1 << 20).decode().split("\n")
        assert (whole, cut_off != "cut off " * 700) == ("whole " * 500, True)
        lines.msg("again")
        assert lines.reason == ""
        said = reader.read(1 << 20).decode().splitlines()
    logs.configure()
    assert said[:2] == ["", "again"]
    assert "log lines could not be written" in said[2]
    assert "lines=2" in said[2]
