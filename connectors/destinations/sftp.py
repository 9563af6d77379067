"""A file drop on an SFTP server.

Each piece of work has a connection of its own, so none can go stale. The server's key must be
known: a letter is never sent to a machine that only claims to be the right server. Folders cannot
be synced over SFTP; files are, if the server supports it (`fsync@openssh.com`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from connectors.drops.destination import DropDestination
from connectors.drops.drop import STAGING, Seen, into_folders, unfit, unfit_for_reading
from connectors.drops.ownership import Access
from connectors.drops.settings import DropSettings, Mode
from connectors.drops.sftp_session import SftpServer, SftpSession
from connectors.net.diagnostics import Timeout
from connectors.net.known_hosts import KnownHosts, read_known_hosts
from connectors.net.settings import Host
from daemon.core.errors import TemporaryFailure
from daemon.core.key_forms import private_block, wrong_form
from daemon.core.optional_libraries import need_library
from daemon.core.ports import Destination
from daemon.core.settings import FilePath, SecretFile
from daemon.core.tls import none_if_empty

if TYPE_CHECKING:
    import asyncssh

_CHUNK = 1 << 20
_Answer = TypeVar("_Answer")


class Settings(DropSettings):
    """`[destination.NAME]` with `type = "sftp"`."""

    host: Host
    port: int = Field(default=22, ge=1, le=65535)
    username: str
    key_file: Annotated[SecretFile | None, BeforeValidator(none_if_empty)] = None
    """A private key in OpenSSH's format, without a passphrase."""
    password_file: Annotated[SecretFile | None, BeforeValidator(none_if_empty)] = None
    known_hosts: FilePath
    """The server's key, as in OpenSSH's known_hosts."""
    path: str = "."
    """An existing folder on the server. A relative path starts in the folder where the user is
    logged in.
    """
    mode: Mode = "0640"
    timeout: Timeout = timedelta(seconds=60)
    """For connecting, and for each step after that."""

    @property
    def place(self) -> str:
        """The server and the folder."""
        return f"sftp://{self.host}:{self.port}/{self.path.lstrip('/')}"

    @model_validator(mode="after")
    def _usable(self) -> Self:
        need_library("asyncssh", "sftp")
        if not (self.key_file or self.password_file):
            raise ValueError("has no way to log in; name a key_file or a password_file")
        read_known_hosts(self.known_hosts, self.host, self.port)
        if self.key_file and not self.key_file.is_closed:
            _client_keys(self)
        return self


def connect(name: str, settings: Settings) -> Destination:
    """Return a drop in the folder `settings.path` of the server."""
    return DropDestination(name, settings, lambda: _open(settings))


def _client_keys(settings: Settings) -> list[asyncssh.SSHKey]:
    """Return the key to log in with, if there is one. Raises ValueError."""
    import asyncssh

    if settings.key_file is None:
        return []
    if found := wrong_form(
        settings.key_file.value.encode(), settings.key_file.path, "key", openssh=True
    ):
        raise ValueError(f"key_file {found}")
    try:
        return [asyncssh.import_private_key(private_block(settings.key_file.value))]
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        # what the library says of a key that it cannot read is left out on purpose
        path = settings.key_file.path
        remedy = (
            f"make one with ssh-keygen, or run: ssh-keygen -p -N '' -f a copy of {path}, and name "
            "the copy"
        )
        raise ValueError(
            f"key_file is not a private key without a passphrase: {path}; {remedy}"
        ) from None


@contextmanager
def _open(settings: Settings) -> Iterator[SftpDrop]:
    """Connect, and verify that the drop's folder exists."""
    with asyncio.Runner() as runner:
        session = SftpSession(_server(settings), runner)
        with session.plain_words():
            connection = session.run(_log_in(settings, session.known()))
            session.trusts()
        try:
            with session.plain_words():
                drop = SftpDrop(settings, session, session.run(connection.start_sftp_client()))
            drop.must_exist()
            yield drop
        finally:
            connection.abort()
            runner.run(connection.wait_closed())


def _server(settings: Settings) -> SftpServer:
    return SftpServer(
        host=settings.host,
        port=settings.port,
        path=settings.path,
        known_hosts=settings.known_hosts,
        seconds=settings.timeout.total_seconds(),
    )


def _log_in(settings: Settings, known_hosts: KnownHosts) -> Awaitable[asyncssh.SSHClientConnection]:
    import asyncssh

    password = settings.password_file.value if settings.password_file else None
    return asyncssh.connect(
        settings.host,
        settings.port,
        username=settings.username,
        password=password,
        client_keys=_client_keys(settings) or None,
        known_hosts=known_hosts,
        config=None,
        agent_path=None,
        connect_timeout=settings.timeout.total_seconds(),
        login_timeout=settings.timeout.total_seconds(),
    )


class SftpDrop:
    """A Drop over one connection."""

    def __init__(
        self, settings: Settings, session: SftpSession, client: asyncssh.SFTPClient
    ) -> None:
        self.place = session.place
        self._root = settings.path.rstrip("/") or "/."
        self._access = Access(mode=int(settings.mode, 8))
        self._session = session
        self._client = client

    def must_exist(self) -> None:
        """Raise TemporaryFailure if the drop's own folder does not exist.

        A share behind the server may come and go.
        """
        found = self.look(".")
        if found is None or not found.is_folder:
            raise TemporaryFailure(
                f"the drop {self.place} does not exist; create the folder on the server"
            )
        hidden = self.look(STAGING)
        if (
            hidden is not None and not hidden.is_folder
        ):  # as a link, it would have us write somewhere else
            raise unfit(self.place, STAGING, hidden.odd or "a file")

    def look(self, path: str) -> Seen | None:
        """Return what has this name."""
        import asyncssh

        with self._session.plain_words():
            try:
                found = self._run(self._client.lstat(self._at(path)))
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory):
                return None
        if found.type == asyncssh.FILEXFER_TYPE_DIRECTORY:
            return Seen(size=None)
        return Seen(size=found.size or 0, odd=_odd(found.type))

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        import asyncssh

        with self._session.plain_words():
            try:
                found = self._run(self._client.listdir(self._at(folder)))
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                return []
        return [name for name in map(str, found) if name not in {".", ".."}]

    # the protocol does not report other names
    def read(self, path: str, *, sole: bool = False) -> Iterator[bytes]:  # noqa: ARG002
        """Yield the bytes of a file."""
        seen = self.look(path)
        if seen is None:
            raise FileNotFoundError(path)
        if not seen.is_file:
            raise unfit_for_reading(self.place, path, seen)
        with self._session.plain_words():
            file = self._run(self._client.open(self._at(path), "rb"))
            try:
                while chunk := self._run(file.read(_CHUNK)):
                    assert isinstance(chunk, bytes)  # text only if the file is opened in text mode
                    yield chunk
            finally:
                self._run(file.close())

    def write(self, files: Iterable[tuple[str, Iterable[bytes]]]) -> None:
        """Write new files, and sync each if the server can."""
        for path, chunks in into_folders(files, self._make_folder):
            self._write_file(path, chunks)

    def publish(self, source: str, target: str) -> bool:
        """Rename, unless the name is taken.

        A server refuses that; some only say that they failed.
        """
        import asyncssh

        if self.look(target) is not None:
            return False
        with self._session.plain_words():
            try:
                self._run(self._client.rename(self._at(source), self._at(target)))
            except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
                if self.look(target) is None:
                    raise
                return False
        return True

    def replace(self, source: str, target: str) -> None:
        """Rename over another file.

        On a server without `posix-rename@openssh.com` the other file must be removed first.
        """
        import asyncssh

        with self._session.plain_words():
            try:
                self._run(self._client.posix_rename(self._at(source), self._at(target)))
            except asyncssh.SFTPOpUnsupported:
                self.remove(target)
                self._run(self._client.rename(self._at(source), self._at(target)))

    def sync(self) -> None:
        """Do nothing: each step is as durable as the server can make it."""

    # always durable, as far as the server ensures that
    def remove(self, path: str, *, lasting: bool = True) -> None:  # noqa: ARG002
        """Remove a file, or a folder with its contents."""
        seen = self.look(path)
        if seen is None:
            return
        if not seen.is_folder:
            self._do(self._client.remove(self._at(path)))
            return
        for name in self.names(path):
            self.remove(f"{path}/{name}")
        self._do(self._client.rmdir(self._at(path)))

    def tidy(self, folder: str) -> None:
        """Remove an empty folder; servers have many errors for one that is not empty."""
        import asyncssh

        with self._session.plain_words(), suppress(asyncssh.SFTPError):
            self._run(self._client.rmdir(self._at(folder)))

    def _make_folder(self, path: str) -> None:
        import asyncssh

        seen = self.look(path)
        if seen is not None:
            if not seen.is_folder:
                raise unfit(self.place, path, seen.odd or "a file")
            return
        attributes = asyncssh.SFTPAttrs(permissions=self._access.folder_mode)
        with self._session.plain_words():
            try:
                self._run(self._client.mkdir(self._at(path), attributes))
            except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
                if self.look(path) is None:  # otherwise another thread was first
                    raise

    def _write_file(self, path: str, chunks: Iterable[bytes]) -> None:
        import asyncssh

        with self._session.plain_words():
            file = self._run(
                self._client.open(
                    self._at(path), "xb", asyncssh.SFTPAttrs(permissions=self._access.mode)
                )
            )
        try:
            for chunk in chunks:
                self._do(file.write(chunk))
            self._sync(file.fsync)
        finally:
            self._do(file.close())

    def _sync(self, fsync: Callable[[], Awaitable[None]]) -> None:
        import asyncssh

        with self._session.plain_words():
            try:
                self._run(fsync())
            except asyncssh.SFTPOpUnsupported:
                return  # the server decides for itself when its disk has the file

    def _do(self, work: Awaitable[Any]) -> None:
        with self._session.plain_words():
            self._run(work)

    def _run(self, work: Awaitable[_Answer]) -> _Answer:
        return self._session.run(work)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"


def _odd(kind: int) -> str:
    """Return what something other than a folder is, by its type in the protocol.

    Empty for a file, and if the server does not report types.
    """
    import asyncssh

    if kind in {asyncssh.FILEXFER_TYPE_REGULAR, asyncssh.FILEXFER_TYPE_UNKNOWN}:
        return ""
    return (
        "a symbolic link"
        if kind == asyncssh.FILEXFER_TYPE_SYMLINK
        else "neither a file nor a folder"
    )
