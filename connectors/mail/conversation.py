"""A conversation with a mail server, with a time limit and bounded, complete replies.

smtplib only limits the wait for the next bytes, reads replies of any number of lines, and accepts a
reply that was cut off by the end of the connection.
"""

from __future__ import annotations

import errno
import smtplib
from typing import Any, BinaryIO

from connectors.net.socket_deadline import SocketDeadline

STEPS = 10
"""The limit for a mail, and for everything before the first, in timeouts of a step."""
_SLOWEST = 64 * 1024
"""Bytes of a mail per second; a large mail gets more time at this rate."""
_LONGEST_REPLY = 64 * 1024
"""Bytes, with all its lines; RFC 5321 limits lines to 512, and servers send a few dozen of them."""


class Conversation(smtplib.SMTP):
    """smtplib's client, whose connection `deadline` cuts. Otherwise takes the arguments of SMTP."""

    def __init__(self, deadline: SocketDeadline, *args: Any, **options: Any) -> None:
        self._deadline = deadline
        super().__init__(*args, **options)

    def begin_mail(self, size: int) -> None:
        """Restart the time limit for a mail of this many bytes."""
        self._deadline.restart(STEPS * self.timeout + size / _SLOWEST)

    def getreply(self) -> tuple[int, bytes]:
        """Return the next reply, complete.

        Raises SMTPServerDisconnected if none comes in time.
        """
        assert self.sock is not None
        self._deadline.guard(self.sock)  # STARTTLS puts another one in its place
        if self.file is None:
            self.file = _ReplyReader(self.sock.makefile("rb"))
        self.file.begin()
        return super().getreply()


class EncryptedConversation(Conversation, smtplib.SMTP_SSL):
    """The same with TLS from the first byte. Otherwise takes the arguments of SMTP_SSL."""


class _ReplyReader:
    """Reads the lines of replies, for smtplib."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = 0

    def begin(self) -> None:
        """Begin a reply."""
        self._left = _LONGEST_REPLY

    def readline(self, size: int) -> bytes:
        """Return a line of at most `size` bytes; empty if the connection ended before the line did.

        Raises OSError if the reply is too long.
        """
        line = self._file.readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise OSError(errno.EMSGSIZE, f"it sent a reply of more than {_LONGEST_REPLY:,} bytes")
        return line if line.endswith(b"\n") or len(line) == size else b""

    def close(self) -> None:
        """Close the file."""
        self._file.close()
