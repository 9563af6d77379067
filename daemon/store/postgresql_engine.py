"""Opens PostgreSQL, 13 or later.

Writers wait for one another, all of them, on whatever machine: each transaction that writes begins
with one lock, and reads after that what the one before has committed. So what it reads stays true
until it commits, as with SQLite, and the rows of the journal come in one order. The lock goes with
its transaction, and the server ends the transaction of a process that stands still.

What libpq knows is left to libpq: several hosts, TLS, service files, `.pgpass`. Settings are made
by statements, because poolers refuse them in the connection's options; and as poolers may change
the connection between two transactions, no statement is prepared.
"""

from __future__ import annotations

import re
import select
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import psycopg
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlmodel import create_engine

from daemon.core.errors import (
    DiskFull,
    NotStorable,
    PostmottakError,
    StoreBusy,
    StoreError,
    StoreRefused,
    StoreUnreachable,
)
from daemon.store.busy import BusyWait, is_busy
from daemon.store.journal.capture_postgresql import taken
from daemon.store.journal.writing import write_captured
from daemon.store.postgresql_schema import JOURNAL_ON, complete, is_complete
from daemon.store.postgresql_types import keep_as_sqlite_does

_OLDEST = 130000
_LOCK = 0x706F73746D6F7474  # "postmott"
_STILL = "10s"
"""A transaction in which nothing comes from its process for so long is ended by the server."""
_LONGEST_LOCK = "30s"
"""So long another program's lock on a row or a table is waited for."""
_LIBPQ = {
    "application_name": "postmottak",
    "client_encoding": "utf8",
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "target_session_attrs": "read-write",
}
"""What libpq is told, unless the URL says otherwise."""
_NOTHING: Mapping[str, Any] = {}
_CONNECT_FAST = {"connect_timeout": 2}
"""For heartbeats: a node that cannot send them, because a host of several is gone, is fenced off.
"""
_WRITE = (
    "SELECT set_config('idle_in_transaction_session_timeout', %s, true), "
    "set_config('statement_timeout', '0', true), "
    "set_config('lock_timeout', %s, true), set_config(%s, %s, true), "
    "pg_advisory_xact_lock(%s), set_config('lock_timeout', %s, true)"
)
_SETTINGS = (
    "SELECT set_config('idle_in_transaction_session_timeout', %s, false), "
    "set_config('statement_timeout', '0', false), set_config('lock_timeout', %s, false)"
)
"""The role's own limit of a statement would undo the same long one again and again."""
_FULL = frozenset({"53100", "53200"})
"""No space, no memory (PostgreSQL's documentation, appendix A)."""
_MORE = ("DETAIL:", "HINT:", "CONTEXT:")
"""How lines begin that the server says beside what is wrong."""
_READ_ONLY = "25006"
_AWAY = ("08", "57", _READ_ONLY, "25P03", "25P04", "53300")
"""How the codes begin of a server that goes, comes, is a standby, has ended a transaction or a
statement, or has no connection left."""
_SECRET = re.compile(r"\w*(password|secret)=", re.IGNORECASE)
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|no such (database|user)"
    r'|(database|role) ".*" does not exist|not permitted to log in|permission denied for database'
)
"""What PostgreSQL and PgBouncer say when they do not let a user in. For a connection that was not
made, libpq passes on no code; in another language these are taken for what may pass.
"""
_REMEDIES = {
    "55P03": "; another program keeps a lock",
    "42501": "; give the role the right, as `postmottak db upgrade --user NAME` does with the name "
    "of the tables' owner, or let it own the database",
    "3D000": "; create it with `createdb`",
    _READ_ONLY: "; it is a standby, or default_transaction_read_only is on",
}


_REMEDIES_BY_WORDS = (
    (
        re.compile("password authentication failed|no password supplied"),
        "; check `password_file` of [store], or the file that --password-file names",
    ),
    (re.compile('database ".*" does not exist'), _REMEDIES["3D000"]),
    (re.compile("read-only"), _REMEDIES[_READ_ONLY]),
)
"""What helps where libpq passes on no code."""


class PostgresqlEngine:
    """Connections to a server."""

    def __init__(self, url: str, busy_wait: BusyWait, password: str = "") -> None:
        """Prepare them; none is made yet."""
        self.shown = without_password(url)
        engine = _open(url, password, busy_wait, self.shown)
        self.reader: Engine = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self.single: Engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        for each in (self.reader, self.single):
            event.listen(each, "before_cursor_execute", _without_nul, retval=True)
        self.upgrader: Engine = engine.execution_options(
            isolation_level="READ COMMITTED", immediate=True
        )
        self.writer: Engine = self.upgrader.execution_options(journal=True)
        beats = _open(url, password, busy_wait, self.shown, _CONNECT_FAST)
        self.beats: Engine | None = beats.execution_options(isolation_level="AUTOCOMMIT")

    def complete(self, connection: Connection) -> None:
        """Add the numbers of rows, and the triggers."""
        complete(connection)

    def is_complete(self, connection: Connection) -> bool:
        """Compare with those of the version that added them last."""
        return is_complete(connection)

    def rejected(self, error: DBAPIError) -> NotStorable:
        """Return what a rejected value becomes."""
        return NotStorable(f"value rejected by the database: {_said(error.orig)}")

    def failed(self, error: DBAPIError) -> PostmottakError:
        """Return what another failure becomes."""
        orig: Any = error.orig
        code = getattr(orig, "sqlstate", None) or ""
        said = _said(orig)
        said += _REMEDIES.get(code, "") if code else _remedy_for(said)
        if code in _FULL:
            return DiskFull(f"the database {self.shown} failed: {said}")
        passes = error.connection_invalidated or code.startswith(_AWAY) or is_busy(orig)
        if passes or _is_libpq(orig, code):
            kind = StoreRefused if _REFUSED.search(said) else StoreUnreachable
            return kind(f"the database {self.shown} cannot be used now: {said}")
        return StoreError(f"the database {self.shown} failed: {said}")


def _remedy_for(said: str) -> str:
    return next((remedy for words, remedy in _REMEDIES_BY_WORDS if words.search(said)), "")


def without_password(url: str) -> str:
    """Return a URL as messages may have it."""
    found = urlsplit(url)
    user, at, hosts = found.netloc.rpartition("@")
    query = "&".join(each for each in found.query.split("&") if not _SECRET.match(each))
    rest = urlunsplit(("", "", found.path, query, ""))
    return f"{found.scheme}://{user.partition(':')[0]}{at}{hosts}{rest}"


def _open(
    url: str, password: str, busy_wait: BusyWait, shown: str, more: Mapping[str, Any] = _NOTHING
) -> Engine:
    for_libpq = url.replace("postgresql+psycopg:", "postgresql:", 1)
    given = {name for name, _ in parse_qsl(urlsplit(url).query)}
    wanted = {**_LIBPQ, **more}
    named: dict[str, Any] = {name: each for name, each in wanted.items() if name not in given}
    if password:
        named["password"] = password
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(for_libpq, prepare_threshold=None, **named),
        hide_parameters=True,
        pool_use_lifo=True,
        use_native_hstore=False,
    )
    keep_as_sqlite_does(engine)
    dialect: Any = engine.dialect
    dialect.use_insertmanyvalues_wo_returning = True  # one statement for many rows, not many
    event.listen(engine, "connect", partial(_prepare_connection, shown))
    event.listen(engine, "checkout", _check_connection)
    event.listen(engine, "begin", partial(_begin, busy_wait, shown))
    event.listen(engine, "commit", _commit)
    return engine


def _prepare_connection(shown: str, connection: Any, _record: object) -> None:
    if connection.info.server_version < _OLDEST:
        version = connection.info.server_version // 10_000
        raise StoreError(f"the database {shown} is PostgreSQL {version}; 13 or later is needed")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"the database {shown} has the encoding {encoding}, which lacks most letters; create "
            "it with: createdb --encoding UTF8 --template template0"
        )
    connection.autocommit = True
    connection.execute(_SETTINGS, (_STILL, _LONGEST_LOCK))
    connection.autocommit = False


def _check_connection(connection: Any, _record: object, _proxy: object) -> None:
    """Look whether the server has closed a connection that was not used; it costs no message.

    A transaction that does not say that it only reads says nothing: a standby that is asked to
    write says that it is one, and of a transaction that is to write, that it does not know these.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):  # the end, or what the server says before
        raise DisconnectionError("the server has closed it")
    connection.read_only = None  # SQLAlchemy leaves False after a reader


def _without_nul(
    _connection: object, _cursor: object, statement: str, parameters: Any, *_: object
) -> tuple[str, Any]:
    """Let what is looked for and has NUL be found nowhere, as with SQLite, and be no failure."""
    if isinstance(parameters, dict) and any(map(_has_nul, parameters.values())):
        parameters = {
            name: each.replace("\0", "\ufffd") if _has_nul(each) else each
            for name, each in parameters.items()
        }
    return statement, parameters


def _has_nul(value: object) -> bool:
    return isinstance(value, str) and "\0" in value


def _begin(busy_wait: BusyWait, shown: str, connection: Connection) -> None:
    """Begin; writers wait here for one another. Raises StoreBusy."""
    options = connection.get_execution_options()
    if not options.get("immediate", False):
        return
    journal = "on" if options.get("journal", False) else "off"
    step = f"{max(1, round(busy_wait.step * 1000))}ms"
    values = (_STILL, step, JOURNAL_ON, journal, _LOCK, _LONGEST_LOCK)

    def lock() -> None:
        try:
            connection.exec_driver_sql(_WRITE, values)
        except DBAPIError as error:
            if is_busy(error):  # a transaction goes on after no error
                connection.connection.rollback()
            raise

    try:
        busy_wait.until_free(lock)
    except DBAPIError as error:
        if not is_busy(error):
            raise
        raise StoreBusy(
            f"the database {shown} is busy: another program keeps a lock; try again later"
        ) from None


def _commit(connection: Connection) -> None:
    if not connection.get_execution_options().get("journal", False):
        return
    try:
        write_captured(connection, taken(connection))
    except BaseException:
        _undo(connection)
        raise


def _undo(connection: Connection) -> None:
    """Undo a transaction whose commit was not begun: SQLAlchemy takes it for ended."""
    if not connection.invalidated:
        try:
            connection.connection.rollback()
        except psycopg.Error:
            connection.invalidate()


def _is_libpq(error: object, code: str) -> bool:
    """Whether there is no connection, and so no code of the server's."""
    return not code and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def _said(error: BaseException | None) -> str:
    """Return what the server or libpq says; never its details, which hold whole rows."""
    said = getattr(getattr(error, "diag", None), "message_primary", None)
    if said:
        return f"{said} ({getattr(error, 'sqlstate', None)})"
    lines = (line.strip() for line in str(error).splitlines())
    # each once: libpq tries an address again without TLS
    told = dict.fromkeys(line for line in lines if line and not line.startswith(_MORE))
    return "; ".join(told)
