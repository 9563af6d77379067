"""A file drop on a Windows or Samba share, reached without mounting it (SMB 2 and 3).

Each piece of work has a connection of its own, signed and by default encrypted. Files are flushed;
the server syncs folders by itself.
"""

from __future__ import annotations

import errno
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Annotated, Any, Self
from uuid import uuid4

from pydantic import AfterValidator, Field, model_validator

from connectors.drops.destination import DropDestination
from connectors.drops.drop import STAGING, Seen, into_folders, unfit, unfit_for_reading
from connectors.drops.local import REMEDIES
from connectors.drops.settings import DropSettings
from connectors.net.diagnostics import Timeout
from connectors.net.settings import Host
from daemon.core.errors import TemporaryFailure
from daemon.core.optional_libraries import need_library
from daemon.core.ports import Destination
from daemon.core.settings import SecretFile

_CHUNK = 1 << 20
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})


def _checked_share(share: str) -> str:
    if not re.fullmatch(r"[^\\/:*?\"<>|]+", share):
        raise ValueError(
            f"is not a valid share name: {share!r}; write the name alone, and folders in path"
        )
    return share


class Settings(DropSettings):
    """`[destination.NAME]` with `type = "smb"`."""

    host: Host
    port: int = Field(default=445, ge=1, le=65535)
    share: Annotated[str, AfterValidator(_checked_share)]
    path: str = ""
    """An existing folder in the share."""
    username: str
    """`name`, `DOMAIN\\name` or `name@domain`."""
    password_file: SecretFile
    encrypt: bool = True
    timeout: Timeout = timedelta(seconds=60)
    """For connecting, and for each step after that."""

    @property
    def place(self) -> str:
        """The share and the folder."""
        return "\\\\" + "\\".join(each for each in (self.host, self.share, self.path) if each)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        need_library("smbclient", "smb")
        return self


def connect(name: str, settings: Settings) -> Destination:
    """Return a drop in the folder `settings.path` of the share."""
    return DropDestination(name, settings, lambda: _open(settings))


@contextmanager
def _open(settings: Settings) -> Iterator[SmbDrop]:
    """Connect, log in, and verify that the drop's folder exists."""
    import smbclient

    session = _SmbSession(settings)
    try:
        with session.step():
            session.connect()
            smbclient.register_session(
                settings.host,
                username=settings.username,
                password=settings.password_file.value,
                port=settings.port,
                encrypt=settings.encrypt,
                connection_cache=session.connections,
            )
        drop = SmbDrop(settings, session)
        drop.must_exist()
        yield drop
    finally:
        session.close()


class _SmbSession:
    """One connection.

    Each step has the timeout of the settings, and its errors are translated.
    """

    def __init__(self, settings: Settings) -> None:
        self.connections: dict[str, Any] = {}
        """The library's connections, in a dictionary of our own; otherwise threads would share
        them.
        """
        self.place = "/".join(
            piece
            for piece in (f"smb://{settings.host}", settings.share, settings.path.strip("\\/"))
            if piece
        )
        self._settings = settings

    def connect(self) -> None:
        """Connect with a client identity of our own.

        The library has one for the process, and Samba hands connections with the same one from
        process to process.
        """
        from smbprotocol.connection import Connection

        connection = Connection(uuid4(), self._settings.host, self._settings.port)
        self.connections[f"{self._settings.host.lower()}:{self._settings.port}"] = connection
        connection.connect(timeout=max(1, int(self._settings.timeout.total_seconds())))

    @contextmanager
    def step(self) -> Iterator[None]:
        """Raise TemporaryFailure for any failure of the server or the network, or a timeout."""
        from smbprotocol.exceptions import SMBException

        timer = threading.Timer(self._settings.timeout.total_seconds(), self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (
            OSError,
            ValueError,
            SMBException,
        ) as error:  # the library raises ValueError if there is no server
            raise TemporaryFailure(self._in_plain_words(error)) from error
        finally:
            timer.cancel()

    def close(self) -> None:
        """Disconnect; an unresponsive server is not waited for."""
        import smbclient

        timer = threading.Timer(self._settings.timeout.total_seconds(), self._cut)
        timer.daemon = True
        timer.start()
        try:
            smbclient.reset_connection_cache(fail_on_error=False, connection_cache=self.connections)
        finally:
            timer.cancel()

    def _cut(self) -> None:
        """Wake the threads that wait for the server: the library itself would wait forever."""
        for connection in list(self.connections.values()):
            # its own close would wait for the lock of the one to be woken
            link = connection.transport and connection.transport._sock  # noqa: SLF001
            if link is not None:
                with suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)

    def _in_plain_words(self, error: Exception) -> str:
        from smbprotocol.exceptions import AccessDenied, LogonFailure, SMBAuthenticationError

        server = f"the SMB server {self._settings.host}"
        if isinstance(error, LogonFailure | SMBAuthenticationError):
            return f"{server} refuses the log-in; check username and password_file"
        number = (
            errno.EACCES
            if isinstance(error, AccessDenied)
            else error.errno
            if isinstance(error, OSError)
            else None
        )
        if number in REMEDIES:
            return f"the drop {self.place} {REMEDIES[number]}"
        return (
            f"{server} cannot be used on port {self._settings.port} ({type(error).__name__}); "
            "check that it runs"
        )


class SmbDrop:
    """A Drop over one connection."""

    def __init__(self, settings: Settings, session: _SmbSession) -> None:
        self.place = session.place
        folder = settings.path.strip("\\/").replace("/", "\\")
        self._root = "\\".join(
            piece for piece in (rf"\\{settings.host}", settings.share, folder) if piece
        )
        self._session = session
        self._how: dict[str, Any] = {"port": settings.port, "connection_cache": session.connections}

    def must_exist(self) -> None:
        """Raise TemporaryFailure if the drop's own folder does not exist."""
        found = self.look("")
        if found is None or not found.is_folder:
            raise TemporaryFailure(
                f"the drop {self.place} does not exist; check share, or create the folder on "
                "the server"
            )
        hidden = self.look(STAGING)
        if (
            hidden is not None and not hidden.is_folder
        ):  # as a link, it would have us write somewhere else
            raise unfit(self.place, STAGING, hidden.odd or "a file")

    def look(self, path: str) -> Seen | None:
        """Return what has this name."""
        import smbclient

        with self._session.step():
            try:
                found = smbclient.lstat(self._at(path), **self._how)
            except OSError as error:
                if error.errno in _NOT_THERE:
                    return None
                raise
        if found.st_reparse_tag in _LINKS:
            return Seen(size=found.st_size, odd=_LINKS[found.st_reparse_tag])
        return Seen(size=None if found.st_file_attributes & _FOLDER else found.st_size)

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        import smbclient

        if self.look(folder) is None:
            return []
        with self._session.step():
            return list(smbclient.listdir(self._at(folder), **self._how))

    # who may read what is the server's business
    def read(self, path: str, *, sole: bool = False) -> Iterator[bytes]:  # noqa: ARG002
        """Yield the bytes of a file."""
        import smbclient

        seen = self.look(path)
        if seen is None:
            raise FileNotFoundError(path)
        if not seen.is_file:
            raise unfit_for_reading(self.place, path, seen)
        with self._session.step():
            file = smbclient.open_file(self._at(path), mode="rb", share_access="rwd", **self._how)
        with self._closing(file):
            while chunk := self._read(file):
                yield chunk

    def write(self, files: Iterable[tuple[str, Iterable[bytes]]]) -> None:
        """Write new files, and flush each."""
        for path, chunks in into_folders(files, self._make_folder):
            self._write_file(path, chunks)

    def publish(self, source: str, target: str) -> bool:
        """Rename; the server refuses if the name is taken."""
        import smbclient

        if self.look(target) is not None:
            return False
        with self._session.step():
            try:
                smbclient.rename(self._at(source), self._at(target), **self._how)
            except OSError as error:
                if error.errno == errno.EEXIST:
                    return False
                raise
        return True

    def replace(self, source: str, target: str) -> None:
        """Rename over another file."""
        import smbclient

        with self._session.step():
            smbclient.replace(self._at(source), self._at(target), **self._how)

    def sync(self) -> None:
        """Do nothing: each step is as durable as the server can make it."""

    # always durable, as far as the server ensures that
    def remove(self, path: str, *, lasting: bool = True) -> None:  # noqa: ARG002
        """Remove a file, or a folder with its contents."""
        import smbclient

        seen = self.look(path)
        if seen is None:
            return
        if seen.is_folder:
            for name in self.names(path):
                self.remove(f"{path}/{name}")
        with self._session.step():
            (smbclient.rmdir if seen.is_folder else smbclient.remove)(self._at(path), **self._how)

    def tidy(self, folder: str) -> None:
        """Remove an empty folder."""
        import smbclient

        with self._session.step():
            try:
                smbclient.rmdir(self._at(folder), **self._how)
            except OSError as error:
                if error.errno not in {*_NOT_THERE, errno.ENOTEMPTY}:
                    raise

    def _make_folder(self, path: str) -> None:
        import smbclient

        seen = self.look(path)
        if seen is not None:
            if not seen.is_folder:
                raise unfit(self.place, path, seen.odd or "a file")
            return
        with self._session.step():
            try:
                smbclient.mkdir(self._at(path), **self._how)
            except OSError as error:
                if error.errno != errno.EEXIST:  # otherwise another thread was first
                    raise

    def _write_file(self, path: str, chunks: Iterable[bytes]) -> None:
        import smbclient

        with self._session.step():
            file = smbclient.open_file(self._at(path), mode="xb", buffering=0, **self._how)
        with self._closing(file):
            for chunk in chunks:
                left = memoryview(chunk)
                while left:
                    with self._session.step():
                        left = left[file.write(bytes(left)) :]
            with self._session.step():
                file.fd.flush()

    def _read(self, file: Any) -> bytes:
        with self._session.step():
            return bytes(file.read(_CHUNK))

    @contextmanager
    def _closing(self, file: Any) -> Iterator[None]:
        try:
            yield
        finally:
            with self._session.step():
                file.close()

    def _at(self, path: str) -> str:
        return self._root + ("\\" + path.replace("/", "\\") if path else "")


_FOLDER = 0x10  # FILE_ATTRIBUTE_DIRECTORY, MS-FSCC 2.6
_LINKS = {
    0xA000000C: "a symbolic link",
    0xA0000003: "a mount point (a junction)",
}  # reparse tags, MS-FSCC 2.1.2.1; others lead nowhere
