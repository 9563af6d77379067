"""Entries of systemd's journal, by its native protocol: a sentence for people with fields beside.

Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ and systemd.journal-fields(7).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping

_SOCKET = "/run/systemd/journal/socket"
_NOT_SAID = frozenset({"event", "level", "timestamp"})
_IDS, _SHORT = frozenset({"message", "delivery"}), 8
_LONGEST_NAME = 64  # characters of a field's name; the journal drops longer ones


def sentence(event: Mapping[str, object]) -> str:
    """Return what people read: the event's name, and its values after it.

    Our ids come last, with as many characters as lists show; commands take these. The fields are
    whole.
    """
    names = [
        name
        for name, value in event.items()
        if name not in _NOT_SAID and value not in (None, "", (), [], {})
    ]
    told = [
        f"{name.replace('_', ' ')} {in_words(event[name])[: _SHORT if name in _IDS else None]}"
        for name in sorted(names, key=_IDS.__contains__)
    ]
    said = str(event.get("event", ""))
    return _one_line(f"{said}: {', '.join(told)}" if told else said)


def in_words(value: object) -> str:
    """Return an event's value as people write it, with nothing of Python's own forms."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {in_words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return " and ".join(in_words(each) for each in value)
    return str(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def entry(said: str, priority: int, event: Mapping[str, object]) -> bytes:
    """Return the datagram of one entry.

    The event's values are the fields `POSTMOTTAK_…`: the name alone may mean something else in the
    journal, as MESSAGE does.
    """
    fields = {
        "MESSAGE": said,
        "PRIORITY": str(priority),
        "SYSLOG_IDENTIFIER": "postmottak",
        **dict(_fields(event)),
    }
    return b"".join(_field(name, value) for name, value in fields.items())


def _fields(event: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in event.items():
        if name not in {"level", "timestamp"}:
            plain = re.sub(r"[^A-Z0-9_]", "_", f"POSTMOTTAK_{name.upper()}")
            yield plain[:_LONGEST_NAME], in_words(value)


def _field(name: str, value: str) -> bytes:
    """Return one field; with its length where a line break would end it."""
    content = value.encode(errors="backslashreplace")
    if b"\n" not in content:
        return name.encode() + b"=" + content + b"\n"
    return name.encode() + b"\n" + len(content).to_bytes(8, "little") + content + b"\n"


def send(datagram: bytes) -> bool:
    """Give the journal an entry, if it takes it at once; otherwise return False.

    It may be away, busy, or refuse one that is too long. May be called from any thread.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(datagram, socket.MSG_DONTWAIT, _SOCKET)
    except OSError:
        return False
    return True
