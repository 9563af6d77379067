"""A conversation with a mail server that ends in time, and whose replies are bounded and whole.

smtplib limits the wait for the next bytes only, reads replies of any number of lines, and takes what
came before a connection ended for a reply.
"""

from __future__ import annotations

import errno
import smtplib
from typing import Any, BinaryIO

from connectors.net.socket_deadline import SocketDeadline

STEPS = 10
"""A mail, and all that comes before the first, may take so many times the timeout of a step."""
_SLOWEST = 64 * 1024
"""Bytes of a mail a second, for which it is allowed more time."""
_LONGEST_REPLY = 64 * 1024
"""Bytes, with all its lines; RFC 5321 asks for lines of 512, and servers send some dozens."""


class Conversation(smtplib.SMTP):
    """smtplib's client, whose connection `deadline` cuts. Takes what SMTP takes besides."""

    def __init__(self, deadline: SocketDeadline, *args: Any, **options: Any) -> None:
        self._deadline = deadline
        super().__init__(*args, **options)

    def begin_mail(self, size: int) -> None:
        """Allow the time for a mail of so many bytes from now on."""
        self._deadline.restart(STEPS * self.timeout + size / _SLOWEST)

    def getreply(self) -> tuple[int, bytes]:
        """The next reply, whole. Raises SMTPServerDisconnected if none comes, also in time."""
        assert self.sock is not None
        self._deadline.guard(self.sock)  # STARTTLS puts another one in its place
        if self.file is None:
            self.file = _ReplyReader(self.sock.makefile("rb"))
        self.file.begin()
        return super().getreply()


class EncryptedConversation(Conversation, smtplib.SMTP_SSL):
    """The same with TLS from the first byte. Takes what SMTP_SSL takes besides."""


class _ReplyReader:
    """Reads the lines of replies, for smtplib."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = 0

    def begin(self) -> None:
        """Begin a reply."""
        self._left = _LONGEST_REPLY

    def readline(self, size: int) -> bytes:
        """A line of at most `size` bytes; nothing if the connection ended before its end.

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
