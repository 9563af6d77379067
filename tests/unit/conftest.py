"""What the tests of the service's middle share: letters, a routing table, and a real store."""

from __future__ import annotations

import hashlib
import inspect
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
import typer.main
from sqlalchemy import func
from sqlmodel import col, select
from structlog.testing import capture_logs

from daemon.config.loader import Configuration, DeliverySettings, RoutingSettings
from daemon.config.store import StoreSettings
from daemon.core.model import (
    Attachment,
    DecisionRow,
    Delivery,
    Envelope,
    Mark,
    MarkKind,
    MarkState,
    Message,
    Policy,
    delivery_id,
)
from daemon.core.ports import Channel, Destination
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.intake.carrier import Carrier
from daemon.intake.fetch import Fetcher
from daemon.intake.notices import Notices
from daemon.intake.party_names import PartyNames, without_names
from daemon.intake.poll import Intake
from daemon.routing.table import Table, parse_table
from daemon.runtime import library_log, log_settings
from daemon.store import Store, StoredLetter
from daemon.store.content_folder import ContentFolder
from tests.processes.postgresql import PostgresqlServer

DatabaseIn = Callable[[Path], AbstractContextManager[str]]
ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
PARTY = "991825827"
SENDER = "974761076"
TAX = Channel(party=PARTY, service="4255/8", resource="skatt")
SECRET = Channel(party=PARTY, service="5504/1", resource="taushetsbelagt", fetch_confidential=True)
DESTINATIONS = ("erp", "mail")
TABLE_TEXT = """\
[[recipient]]
name = "regnskap"
title = "Regnskapsavdelingen"
deliver_to = ["erp", "mail"]

[[recipient]]
name = "post"
deliver_to = ["erp"]

[[route]]
name = "Skatt"
title_contains = ["skatt"]
to = ["regnskap"]

[[route]]
name = "Alt annet"
to = ["post"]
"""
WITH_CONFIDENTIAL = """\
[[route]]
name = "Fortrolig"
services = ["5504/1"]
to = ["post"]

"""


def table_of(text: str) -> Table:
    """A routing table from its text."""
    return parse_table(text, "routing.toml", DESTINATIONS)


TABLE = table_of(TABLE_TEXT)


def configuration_of(store: StoreSettings, folder: Path = Path(), **more: Any) -> Configuration:
    """A configuration with this store, and what else is named."""
    return Configuration(
        path=folder / "postmottak.toml",
        text="",
        store=store,
        mailboxes=(),
        destinations=(),
        delivery=DeliverySettings(),
        routing=RoutingSettings(file=folder / "routing.toml"),
        **more,
    )


def active_snapshot(
    destinations: Mapping[str, Destination],
    table: Table = TABLE,
    configuration: Configuration | None = None,
) -> ActiveSnapshot:
    """A snapshot that is active; destinations in the mapping may be exchanged between rounds."""
    configuration = configuration or configuration_of(
        StoreSettings(database="sqlite:///postmottak.db", content=Path("content"))
    )
    return ActiveSnapshot(
        Snapshot(configuration=configuration, table=table, destinations=destinations)
    )


APPOINTED = table_of(TABLE_TEXT.replace("[[route]]", WITH_CONFIDENTIAL + "[[route]]", 1))


@dataclass
class Clock:
    """Time that moves only when it is told to."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> datetime:
        """Move on, and tell the time then."""
        self.now += timedelta(**by)
        return self.now


def md5(content: bytes) -> str:
    """The checksum that a sender would give."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    """The name of the content in the content store."""
    return hashlib.sha256(content).hexdigest()


def envelope(external_id: str, channel: Channel = TAX, **changes: Any) -> Envelope:
    """A letter's envelope, with whatever is to be different."""
    facts: dict[str, Any] = {
        "mailbox": "altinn",
        "external_id": external_id,
        "party": channel.party,
        "service": channel.service,
        "resource": channel.resource,
        "title": "Vedtak om næringsareal",
        "body": "Hei på deg",
        "sender_org": SENDER,
        "sender_name": "Skatteetaten",
        "requested_at": NOW - timedelta(hours=1),
        "published_at": NOW - timedelta(hours=1),
    }
    return Envelope.model_validate(facts | changes)


def stored_letter(
    external_id: str = "a",
    destinations: Sequence[str] = ("erp",),
    marks: dict[MarkKind, Policy] | None = None,
    due_at: datetime = NOW,
    **changes: Any,
) -> StoredLetter:
    """A letter as intake hands it to the store; one that is to be confirmed asks for it."""
    asked = {"confirmation_needed": True} if marks and MarkKind.CONFIRMED in marks else {}
    sent = envelope(external_id, **asked | changes)
    key = sent.ref.message_id
    message = Message(**sent.model_dump(), id=key, fetched_at=NOW)
    decision = DecisionRow(
        message_id=key,
        number=1,
        decided_at=NOW,
        routing_version=TABLE.version,
        route="Alt annet",
        chosen=["post"],
        recipients=["post"],
        direct=[],
        why={},
    )
    attachment = Attachment(
        message_id=key,
        position=1,
        external_id="1",
        original_name="Å.pdf",
        safe_name="001-a.pdf",
        size=3,
        sha256=sha256(b"pdf"),
    )
    deliveries = [
        Delivery(
            id=delivery_id(key, name, 1),
            message_id=key,
            destination=name,
            recipients=["post"],
            created_at=due_at,
            due_at=due_at,
        )
        for name in destinations
    ]
    return StoredLetter(
        message=message,
        attachments=[attachment],
        decision=decision,
        deliveries=deliveries,
        marks=_marks(key, marks or {}),
    )


def _marks(message: UUID, policies: dict[MarkKind, Policy]) -> list[Mark]:
    states = {Policy.STORED: MarkState.DUE}
    return [
        Mark(
            message_id=message,
            kind=kind,
            policy=policy,
            state=states.get(policy, MarkState.WAITING),
            due_at=NOW,
        )
        for kind, policy in policies.items()
    ]


def new_intake(
    store: Store,
    content: ContentFolder,
    clock: Clock,
    table: Callable[[], Table] = lambda: TABLE,
    workers: int = 8,
    *,
    backlog: bool = False,
    names: PartyNames = without_names,
) -> Intake:
    """An intake with all that it works with."""
    fetcher = Fetcher(store=store, content=content, table=table, clock=clock, names=names)
    return Intake(
        store=store,
        fetcher=fetcher,
        notices=Notices(store=store, table=table, clock=clock, names=names),
        here=Carrier(store=store, fetcher=fetcher, workers=workers, backlog=lambda: backlog),
    )


def newest_decision(store: Store, external_id: str) -> DecisionRow:
    """Where the letter with this id in its mailbox was sent last, and why."""
    return store.queries.decisions(store.queries.message(external_id).id)[-1]


@pytest.fixture(scope="session", autouse=True)
def commands_are_built_once() -> Iterator[None]:
    """Typer builds all commands anew each time that it is called, which a process does once; so do
    the tests that call it in their own process."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(typer.main, "get_command", cache(typer.main.get_command))
        yield


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables, and the routing table that `stored_letter` names, for copying."""
    path = tmp_path_factory.mktemp("database") / "postmottak.db"
    _fill(f"sqlite:///{path}")
    return path


def _fill(url: str) -> None:
    with closing(Store(url)) as store:
        for table in (TABLE, APPOINTED):
            store.letters.note_table(table.version, table.text, NOW)


@pytest.fixture
def database(new_database: Path, tmp_path: Path) -> Path:
    """A database of this test's own."""
    return Path(shutil.copy(new_database, tmp_path / "postmottak.db"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is marked `both_databases` and uses a store runs on each database."""
    marker = metafunc.definition.get_closest_marker
    if not marker("both_databases") or marker("about_sqlite"):
        return
    if "database" in inspect.signature(metafunc.function).parameters:
        pytest.fail(f"{metafunc.definition.nodeid} uses SQLite's file: mark it `about_sqlite`")
    if "database_kind" in metafunc.fixturenames:
        metafunc.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="module")
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database a test uses: SQLite, unless `both_databases` says otherwise."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="module")
def database_in(
    database_kind: str, new_database: Path, request: pytest.FixtureRequest
) -> DatabaseIn:
    """What makes another database of this kind, in a folder if it is a file."""

    @contextmanager
    def made(folder: Path) -> Iterator[str]:
        yield f"sqlite:///{shutil.copy(new_database, folder / 'postmottak.db')}"

    if database_kind == "sqlite":
        return made
    server, template = map(request.getfixturevalue, ("postgresql", "template"))
    return lambda _: server.like(template)


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database of this test's own."""
    if database_kind == "sqlite":
        yield f"sqlite:///{request.getfixturevalue('database')}"
        return
    with request.getfixturevalue("database_in")(Path()) as url:
        yield url


@pytest.fixture(scope="session")
def template(postgresql: PostgresqlServer) -> str:
    """The name of a database like `new_database`, which each worker makes for itself."""
    name = f"template_{uuid4().hex}"
    postgresql.run(f"CREATE DATABASE {name}")
    _fill(postgresql.url(name))
    return name


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store on a database of this test's own."""
    with closing(Store(database_url)) as store:
        yield store


@pytest.fixture
def content(tmp_path: Path) -> ContentFolder:
    """A content store in a folder of this test's own."""
    return ContentFolder(tmp_path / "content")


@pytest.fixture
def stopping() -> threading.Event:
    """Nobody asks to stop, unless the test does."""
    return threading.Event()


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """Every log line of the test."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """A test that sets up logging does so for itself only; until it does, log lines are plain, for
    coloured tracebacks take their time."""
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    yield
    structlog.reset_defaults()
    library_log.remove()
    log_settings.current = log_settings.LogSettings()


def newest_messages(store: Store, limit: int = 1000) -> Sequence[tuple[Message, DecisionRow]]:
    """The letters that came last, the newest first, each with its newest decision."""
    newest = (
        select(func.max(DecisionRow.number))
        .where(DecisionRow.message_id == Message.id)
        .correlate(Message)
        .scalar_subquery()
    )
    wanted = (
        select(Message, DecisionRow)
        .join(DecisionRow, col(DecisionRow.message_id) == Message.id)
        .where(DecisionRow.number == newest)
        .order_by(col(Message.fetched_at).desc(), col(Message.id))
    )
    with store.queries._database.read() as session:
        return session.exec(wanted.limit(limit)).all()
