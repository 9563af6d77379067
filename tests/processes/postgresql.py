"""A private PostgreSQL for the tests, started when the first test asks for it.

All workers of a run share it, each test has a database of its own. PostgreSQL refuses to run as
root, so it runs as `postgres` or `nobody` there. Nothing is synced: no test here cuts its power.
A guard, a process of its own, waits until the last worker has ended, however that was, and stops
the server then.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psycopg

_MEMORY = Path("/dev/shm")
_OPTIONS = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "max_connections=200",
    "dynamic_shared_memory_type=mmap",  # in its folder
)
_LOGS_COPIES = 150_000
_GUARD = """
import fcntl, os, shutil, signal, sys
users, ready, folder, pid = sys.argv[1:]
with open(users) as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    os.path.exists(ready) and os.unlink(ready)
    try:
        os.kill(int(pid), signal.SIGQUIT)
    except ProcessLookupError:
        pass
    shutil.rmtree(folder, ignore_errors=True)
"""


class NoPostgresqlError(Exception):
    """This machine cannot run PostgreSQL; the text says why."""


def programs() -> Path:
    """The folder with `initdb` and `postgres`: the one that POSTMOTTAK_PG_BIN names, or the newest
    of Debian's."""
    named = os.environ.get("POSTMOTTAK_PG_BIN")
    found = sorted(
        [Path(named)] if named else Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0,
    )
    for path in reversed(found):
        if (path / "initdb").exists() and (path / "postgres").exists():
            return path
    raise NoPostgresqlError(
        "PostgreSQL is not installed: install Debian's package `postgresql`, or name the folder "
        "with initdb in POSTMOTTAK_PG_BIN"
    )


def _user() -> str | None:
    """The user who runs it; None for this one."""
    if os.getuid():
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            pwd.getpwnam(name)
            return name
    raise NoPostgresqlError("PostgreSQL does not run as root, and there is no user `nobody`")


class PostgresqlServer:
    """A server with a Norwegian collation of its own folder; `url` gives the URL of a database."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Make a cluster in a new folder."""
        self.folder, self.options, self._user = folder, options, _user()
        self._bin = programs()
        self.pid = 0
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        self._data = folder / "data"
        self._data.mkdir(mode=0o700)
        if self._user:
            for path in (folder, self._data):
                shutil.chown(path, self._user)
        self._initdb()

    def _initdb(self) -> None:
        common = ("-D", str(self._data), "-U", "postgres", "--auth=trust", "--encoding=UTF8")
        norwegian = ("--locale-provider=icu", "--icu-locale=nb-NO", "--locale=C.UTF-8")
        for locale in (norwegian, ("--locale=C.UTF-8",), ("--locale=C",)):
            made = subprocess.run(
                [self._bin / "initdb", *common, "--no-sync", *locale],
                user=self._user,
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if made.returncode == 0:
                return
            shutil.rmtree(self._data)  # without ICU, or before PostgreSQL 15
            self._data.mkdir(mode=0o700)
            if self._user:
                shutil.chown(self._data, self._user)
        raise NoPostgresqlError(f"initdb failed: {made.stderr[-300:]}")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = " ".join(
            f"-c {each}" for each in (f"listen_addresses= -k {self.folder}", *self.options)
        )
        log, data = self.folder / "log", self._data
        command = (self._bin / "pg_ctl", "start", "-s", "-t", "60", "-D", data, "-l", log)
        started = subprocess.run(
            [*command, "-o", options], user=self._user, cwd=self.folder, check=False
        )
        if started.returncode:
            raise NoPostgresqlError((self.folder / "log").read_text()[-300:])
        self.pid = int((self._data / "postmaster.pid").read_text().split()[0])

    def standby(self, folder: Path) -> PostgresqlServer:
        """A server in a new folder that follows this one, and is not started yet."""
        other = PostgresqlServer.__new__(PostgresqlServer)
        other.folder, other.options, other.pid = folder, self.options, 0
        other._user, other._bin, other._data = self._user, self._bin, folder / "data"
        folder.mkdir()
        folder.chmod(0o755)
        if self._user:
            shutil.chown(folder, self._user)
        copy = ("-D", str(other._data), "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        subprocess.run(
            [self._bin / "pg_basebackup", "-h", str(self.folder), "-U", "postgres", *copy],
            user=self._user,
            cwd=folder,
            check=True,
        )
        return other

    def conninfo(self, database: str = "postgres") -> str:
        """What libpq connects with."""
        return f"host={self.folder} user=postgres dbname={database}"

    def url(self, database: str) -> str:
        """The URL of a database, as the configuration has it."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def run(self, statement: str) -> None:
        """Run a statement outside a transaction, as the administrator."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def like(self, template: str) -> Iterator[str]:
        """Yield the URL of a new database with the tables and rows of another, until the block
        ends. Its files are copied, which takes a third of the time that PostgreSQL 15 and later
        take to log them."""
        name = f"test_{uuid4().hex}"
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            how = " STRATEGY FILE_COPY" if connection.info.server_version >= _LOGS_COPIES else ""
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}{how}".encode())
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def shared_server(shared: Path) -> Iterator[PostgresqlServer]:
    """The server of a run, of which `shared` is a folder that all workers have."""
    with (shared / "postgresql-users").open("a+") as users:
        with (shared / "postgresql-starts").open("a+") as starts:
            fcntl.flock(starts, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)  # after a guard that is stopping the one before
            server = _running(shared) or _started(shared)
        yield server


def _running(shared: Path) -> PostgresqlServer | None:
    ready = shared / "postgresql-ready"
    if not ready.exists():
        return None
    server = PostgresqlServer.__new__(PostgresqlServer)
    server.folder, server.options, server.pid = Path(ready.read_text()), (), 0
    return server


def _started(shared: Path) -> PostgresqlServer:
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="postmottak-pg-", dir=memory))
    try:
        server = PostgresqlServer(folder, *_OPTIONS)
        server.start()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    ready, users = shared / "postgresql-ready", shared / "postgresql-users"
    names = (str(each) for each in (users, ready, folder, server.pid))
    subprocess.run(
        [
            "/bin/sh",
            "-c",
            '"$@" </dev/null >/dev/null 2>&1 &',
            "sh",
            sys.executable,
            "-c",
            _GUARD,
            *names,
        ],
        start_new_session=True,
        check=True,
    )
    ready.write_text(str(folder))
    return server
