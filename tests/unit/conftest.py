"""What the tests of the service's middle share: a real store, and a mailbox and a destination that
live in memory."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import func
from sqlmodel import col, select
from structlog.testing import capture_logs

from daemon.config.loader import (
    Configuration,
    DeliverySettings,
    RoutingSettings,
    StoreSettings,
)
from daemon.core.model import (
    Attachment,
    DecisionRow,
    Delivery,
    Envelope,
    Letter,
    LetterRef,
    Mark,
    MarkKind,
    MarkState,
    Message,
    Part,
    Policy,
    delivery_id,
)
from daemon.core.parcels import Receipt
from daemon.core.ports import Channel, Destination, Finding, Listing, Parcel
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.intake.fetch import Fetcher
from daemon.intake.notices import Notices
from daemon.intake.poll import Intake
from daemon.routing.table import Table, parse_table
from daemon.runtime import log_settings
from daemon.store import Store, StoredLetter
from daemon.store.content import ContentStore

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


def active_snapshot(
    destinations: Mapping[str, Destination],
    table: Table = TABLE,
    configuration: Configuration | None = None,
) -> ActiveSnapshot:
    """A snapshot that is active; destinations in the mapping may be exchanged between rounds."""
    configuration = configuration or Configuration(
        path=Path("postmottak.toml"),
        text="",
        store=StoreSettings(database="sqlite:///postmottak.db", content=Path("content")),
        mailboxes=(),
        destinations=(),
        delivery=DeliverySettings(),
        routing=RoutingSettings(file=Path("routing.toml")),
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
    states = {Policy.STORED: MarkState.DUE, Policy.DELIVERED: MarkState.WAITING}
    return [
        Mark(message_id=message, kind=kind, policy=policy, state=states[policy], due_at=NOW)
        for kind, policy in policies.items()
    ]


def new_intake(
    store: Store,
    content: ContentStore,
    clock: Clock,
    table: Callable[[], Table] = lambda: TABLE,
    workers: int = 8,
) -> Intake:
    """An intake with all that it works with."""
    fetcher = Fetcher(store=store, content=content, table=table, clock=clock)
    return Intake(
        store=store,
        fetcher=fetcher,
        notices=Notices(store=store, table=table, clock=clock),
        workers=workers,
    )


def newest_decision(store: Store, external_id: str) -> DecisionRow:
    """Where the letter with this id in its mailbox was sent last, and why."""
    return store.queries.decisions(store.queries.message(external_id).id)[-1]


def nothing_happens(*_: object) -> None:
    """What a fake does besides its work, unless a test says otherwise."""


@dataclass
class MemoryMailbox:
    """A mailbox in memory: keeps what is published, notes what it is asked, and fails as it is
    told.

    `fails[verb, what]` yields the errors of the next calls; `during` is called in the middle of
    each call. `contents` are the versions of a file that are served one after another, the last one
    for ever; `twists` are what it says of a letter beside the truth.
    """

    name: str = "altinn"
    boxes: list[Channel] = field(default_factory=lambda: [TAX])
    look_back: timedelta = timedelta(days=7)
    letters: dict[str, tuple[Channel, Letter]] = field(default_factory=dict)
    contents: dict[str, list[bytes]] = field(default_factory=dict)
    shortfall: str = ""
    fails: dict[tuple[str, str], Iterator[Exception]] = field(default_factory=dict)
    during: Callable[[str, str], None] = nothing_happens
    twists: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    listed_since: list[datetime | None] = field(default_factory=list)
    told_read: list[str] = field(default_factory=list)
    told_confirmed: list[str] = field(default_factory=list)
    closed: bool = False

    def publish(
        self, external_id: str, *files: bytes, channel: Channel = TAX, **changes: Any
    ) -> LetterRef:
        """Put a letter into the box."""
        parts = []
        for number, content in enumerate(files, start=1):
            key = f"{external_id}/{number}"
            self.contents[key] = [content]
            parts.append(
                Part(
                    external_id=key,
                    original_name=f"Vedlegg {number}.pdf",
                    sender_checksum=md5(content),
                )
            )
        sent = envelope(external_id, channel, mailbox=self.name, **changes)
        self.letters[external_id] = (channel, Letter(envelope=sent, parts=tuple(parts)))
        return sent.ref

    def asked(self, verb: str) -> list[str]:
        """What `verb` was called for, in order."""
        return [what for called, what in self.calls if called == verb]

    def _called(self, verb: str, what: str) -> None:
        self.calls.append((verb, what))
        self.during(verb, what)
        error = next(self.fails.get((verb, what), iter(())), None)
        if error:
            raise error

    def channels(self) -> Sequence[Channel]:
        """Everything to list."""
        return tuple(self.boxes)

    def earliest(
        self,
        channel: Channel,  # noqa: ARG002  # a port\'s argument
        position: datetime | None,
        now: datetime,  # noqa: ARG002
    ) -> datetime | None:  # the port's
        """Look back from the bookmark; at first, list everything."""
        return position - self.look_back if position else None

    def list(self, channel: Channel, since: datetime | None) -> Listing:
        """The channel's letters later than `since`."""
        self.listed_since.append(since)
        self._called("list", channel.resource)
        here = {
            name: letter.envelope for name, (box, letter) in self.letters.items() if box == channel
        }
        late = {
            name: each
            for name, each in here.items()
            if since is None or (each.requested_at or each.published_at) > since
        }
        refs = tuple(replace(each.ref, external_id=name) for name, each in late.items())
        return Listing(refs=refs, shortfall=self.shortfall)

    def fetch(self, ref: LetterRef) -> Letter:
        """The letter."""
        self._called("fetch", ref.external_id)
        letter, twist = self.letters[ref.external_id][1], self.twists.get(ref.external_id)
        return (
            replace(letter, envelope=Envelope.model_validate(letter.envelope.model_dump() | twist))
            if twist
            else letter
        )

    @contextmanager
    # the port's
    def open_part(self, ref: LetterRef, part: Part) -> Iterator[Iterator[bytes]]:  # noqa: ARG002
        """The file's bytes, three at a time; what fails does so after the first three."""
        versions = self.contents[part.external_id]
        content = versions.pop(0) if len(versions) > 1 else versions[0]
        yield self._stream(part, content)

    def _stream(self, part: Part, content: bytes) -> Iterator[bytes]:
        yield content[:3]
        self._called("open_part", part.external_id)
        for start in range(3, len(content), 3):
            yield content[start : start + 3]

    def mark_read(self, ref: LetterRef) -> None:
        """Note that the sender was told Read."""
        self._called("mark_read", ref.external_id)
        self.told_read.append(ref.external_id)

    def confirm(self, ref: LetterRef) -> None:
        """Note that the sender was told Confirmed."""
        self._called("confirm", ref.external_id)
        self.told_confirmed.append(ref.external_id)

    def confirmed(self, ref: LetterRef) -> bool:
        """Whether the sender was told Confirmed."""
        self._called("confirmed", ref.external_id)
        return ref.external_id in self.told_confirmed

    def check(self) -> Iterator[Finding]:
        """All is well here."""
        yield Finding(subject=self.name, ok=True, text="is in memory")

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


@dataclass
class MemoryDestination:
    """A destination in memory: keeps each parcel with its bytes, once for each delivery id, and
    fails as it is told."""

    name: str = "erp"
    fails: Iterator[Exception] = field(default_factory=lambda: iter(()))
    during: Callable[[Parcel], None] = nothing_happens
    handed: list[Parcel] = field(default_factory=list)
    kept: dict[UUID, dict[str, bytes]] = field(default_factory=dict)
    closed: bool = False

    def check(self) -> Iterator[Finding]:
        """All is well here."""
        yield Finding(subject=self.name, ok=True, text="is in memory")

    def deliver(self, parcel: Parcel) -> Receipt:
        """Keep the parcel, or fail before anything is kept."""
        self.handed.append(parcel)
        self.during(parcel)
        error = next(self.fails, None)
        if error:
            raise error
        files = {
            "message.json": parcel.document.model_dump_json().encode(),
            parcel.document.body.name: parcel.body,
        }
        for part in parcel.parts:
            with part.open() as file:
                files[part.name] = file.read()
        self.kept.setdefault(parcel.delivery_id, files)
        return Receipt(
            reference=f"{self.name}/{parcel.delivery_id}", details={"files": sorted(files)}
        )

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables, and the routing table that `stored_letter` names, for copying."""
    path = tmp_path_factory.mktemp("database") / "postmottak.db"
    store = Store(f"sqlite:///{path}")
    for table in (TABLE, APPOINTED):
        store.letters.note_table(table.version, table.text, NOW)
    store.close()
    return path


@pytest.fixture
def database(new_database: Path, tmp_path: Path) -> Path:
    """A database of this test's own."""
    return Path(shutil.copy(new_database, tmp_path / "postmottak.db"))


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    """A store on a database file."""
    store = Store(f"sqlite:///{database}")
    yield store
    store.close()


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    """A content store in a folder of this test's own."""
    return ContentStore(tmp_path / "content")


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
