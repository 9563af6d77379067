"""Entries of systemd's journal: a sentence for people, and the values as fields beside it."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from daemon.runtime import journal, log_settings, logs
from daemon.runtime.log_settings import LogFormat, LogSettings

LINE = b"<3>the lock is lost: reason somebody took it\n"


@pytest.fixture
def journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket in the place of the journal's."""
    monkeypatch.setattr(journal, "_SOCKET", str(tmp_path / "socket"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.settimeout(5)
        yield listening


@contextmanager
def stderr_of_a_unit(**settings: LogFormat) -> Iterator[socket.socket]:
    """Let stderr be a stream of the journal, with logging set up; yields the stream's other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("w") as stderr, pytest.MonkeyPatch.context() as patch:
        theirs.settimeout(5)
        found = os.fstat(ours.fileno())
        patch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        patch.setattr(sys, "stderr", stderr)
        patch.setattr(log_settings, "current", LogSettings(**settings))  # type: ignore[arg-type]
        logs.configure()
        yield theirs


def read_entry(datagram: bytes) -> dict[str, str]:
    """Read an entry as the journal does, which is described at systemd.io."""
    found = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, is_short, value = line.partition(b"=")
        if not is_short:
            length = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8 : 8 + length], datagram[8 + length + 1 :]
        found[name.decode()] = value.decode()
    return found


def test_a_sentence_with_its_fields(journald: socket.socket) -> None:
    """The journal gets what a person reads, the priority, and each value under a name of ours."""
    with stderr_of_a_unit():
        structlog.get_logger("x").warning(
            "mark set", destination="erp", message="12", reason="two\nlines", added=("a", "b")
        )
    assert read_entry(journald.recv(1 << 16)) == {
        "MESSAGE": "mark set: destination erp, reason two lines, added a and b, message 12",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "postmottak",
        "POSTMOTTAK_EVENT": "mark set",
        "POSTMOTTAK_DESTINATION": "erp",
        "POSTMOTTAK_MESSAGE": "12",
        "POSTMOTTAK_REASON": "two\nlines",
        "POSTMOTTAK_ADDED": "a and b",
    }


@pytest.mark.parametrize("how", ["away", "full", "out of files"])
def test_a_journal_that_does_not_take_entries(
    journald: socket.socket, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Where the journal is away or does not read, the line goes to stderr with its priority, and
    nothing waits for the journal."""
    with stderr_of_a_unit() as read:
        if how == "away":
            journald.close()
        elif how == "full":
            while journal.send(b"MESSAGE=full\n"):
                pass
        else:
            monkeypatch.setattr(socket, "socket", _no_file_is_left)
        structlog.get_logger("x").error("the lock is lost", reason="somebody took it")
        assert read.recv(1 << 16) == LINE
    assert logs.problem() == ""


def _no_file_is_left(*_: object) -> None:
    raise OSError(24, "Too many open files")


def test_an_entry_that_is_too_long(journald: socket.socket) -> None:
    """What the journal's socket refuses for its length goes to stderr whole."""
    reason = "x" * 400_000
    with stderr_of_a_unit() as read, read.makefile("rb") as lines:
        assert not journal.send(reason.encode())
        reader = threading.Thread(target=lambda: found.append(lines.readline()))
        found: list[bytes] = []
        reader.start()
        structlog.get_logger("x").error("the lock is lost", reason=reason)
        reader.join(timeout=30)
    assert found == [f"<3>the lock is lost: reason {reason}\n".encode()]


def test_json_where_it_is_asked_for(journald: socket.socket) -> None:
    """With the format `json`, a line is its priority and JSON, in the journal too."""
    with stderr_of_a_unit(form=LogFormat.JSON) as read:
        structlog.get_logger("x").info("mark set", destination="erp")
        line = read.recv(1 << 16).decode()
    assert line.startswith("<6>{")
    assert json.loads(line[3:]) == {"event": "mark set", "level": "info", "destination": "erp"}


def test_values_read_as_people_write_them() -> None:
    """A sentence has no values of Python: a truth is yes or no, what is empty is left out."""
    event = {"event": "service stopped", "level": "info", "everything_ended": True, "added": ()}
    assert journal.sentence(event) == "service stopped: everything ended yes"
    key = "f7da1611-5dd2-56f3-8c4f-0d538429f9b4"
    attempt = {"event": "delivery attempted", "message": key, "destination": "erp", "letter": key}
    assert journal.sentence(attempt) == (
        f"delivery attempted: destination erp, letter {key}, message f7da1611"
    )
    assert key.encode() in journal.entry("said", 6, attempt)
    counts = {"event": "polled", "outcomes": {"delivered": 2, "dead": 1}}
    assert journal.sentence(counts) == "polled: outcomes delivered 2; dead 1"
