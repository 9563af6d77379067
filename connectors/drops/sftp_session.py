"""The connection of one SFTP drop: plain calls over asyncssh's coroutines, with readable errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from connectors.net.known_hosts import KnownHosts
from daemon.core.errors import TemporaryFailure

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class SftpServer:
    """Where a drop is. `seconds` limits connecting, and each step after that."""

    host: str
    port: int
    path: str
    known_hosts: Path
    seconds: float

    @property
    def place(self) -> str:
        """The drop's address, for people."""
        return f"sftp://{self.host}:{self.port}/{self.path.lstrip('/')}"


class SftpSession:
    """Runs the library's coroutines, each with a time limit, and translates their errors."""

    def __init__(self, server: SftpServer, runner: asyncio.Runner) -> None:
        self.place = server.place
        self._server = server
        self._runner = runner
        self._known: KnownHosts | None = None

    def known(self) -> KnownHosts:
        """Read the known_hosts file again.

        Raises TemporaryFailure if the file can no longer be read.
        """
        server = self._server
        try:
            self._known = KnownHosts(server.known_hosts, server.host, server.port)
        except ValueError as error:
            raise TemporaryFailure(str(error)) from error
        return self._known

    def trusts(self) -> None:
        """Note that the server's key was accepted: later failures are not due to its key."""
        self._known = None

    def run(self, work: Awaitable[_Answer]) -> _Answer:
        """Run the coroutine and return its result."""
        return self._runner.run(asyncio.wait_for(work, self._server.seconds))

    @contextmanager
    def plain_words(self) -> Iterator[None]:
        """Raise TemporaryFailure for any failure of the server or the network."""
        import asyncssh

        try:
            yield
        except (OSError, asyncssh.Error) as error:
            raise TemporaryFailure(self._in_plain_words(error)) from error

    def _in_plain_words(self, error: Exception) -> str:
        import asyncssh

        if self._known and (
            isinstance(error, asyncssh.HostKeyNotVerifiable) or "host key" in str(error)
        ):
            return self._known.why_not(str(error))
        if (
            self._known
            and self._known.any_key
            and isinstance(error, asyncssh.ConnectionLost | asyncssh.KeyExchangeFailed)
        ):
            kinds = (
                f"it may have no key of the kinds that {self._server.known_hosts} has for it: "
                "ask its owner for its key"
            )
            return (
                f"the SFTP server {self._server.host} ended the connection; check that it "
                f"runs; if it does, {kinds}"
            )
        return self._by_type(error)

    def _by_type(self, error: Exception) -> str:
        import asyncssh

        server, what = f"the SFTP server {self._server.host}", f"the drop {self.place}"
        missing = f"{what} does not exist; create the folder on the server"
        words: tuple[tuple[type[Exception], str], ...] = (
            (
                asyncssh.PermissionDenied,
                f"{server} refuses the log-in; check username, key_file and password_file",
            ),
            (asyncssh.SFTPNoSuchFile, missing),
            (asyncssh.SFTPNoSuchPath, missing),
            (
                asyncssh.SFTPPermissionDenied,
                f"{what} may not be written; give the user write access on the server",
            ),
            (
                asyncssh.SFTPWriteProtect,
                f"{what} is read-only; make it writable on the server",
            ),
            (asyncssh.SFTPNoSpaceOnFilesystem, f"{what} has no room left; make room on the server"),
            (
                asyncssh.SFTPQuotaExceeded,
                f"{what} has no room left in its quota; make room, or raise the quota",
            ),
            (asyncssh.SFTPConnectionLost, f"{server} ended the connection; check that it runs"),
            (
                asyncssh.SFTPError,
                f"{what} refuses a request ({type(error).__name__}); check the server's log",
            ),
        )
        unreachable = (
            f"{server} cannot be reached on port {self._server.port} ({type(error).__name__}); "
            "check that it runs"
        )
        return next((text for kind, text in words if isinstance(error, kind)), unreachable)
