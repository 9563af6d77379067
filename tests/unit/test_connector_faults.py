"""Whatever a connector raises is the outcome of that call, wherever it is made; only a failure of
the store stops the work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from daemon.config.loader import AlertSettings, Configuration, DeliverySettings, RoutingSettings
from daemon.config.store import StoreSettings
from daemon.core.connector_calls import call_connector, outcome_of
from daemon.core.errors import ConnectorFault, Fault, MailboxUnavailable, StoreError
from daemon.core.model import (
    LetterRef,
    MarkKind,
    Outcome,
    PartState,
    Policy,
    SightingState,
    message_id,
)
from daemon.core.ports import Notification, Pickup
from daemon.delivery.dedup import DedupCleanup
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.marks import MarkSender
from daemon.delivery.pickup import Pickups
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import Intake
from daemon.intake.reconcile import Reconciliation
from daemon.intake.refetch import Refetch
from daemon.monitoring.alerts import AlertNotifier
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, TAX, Clock, active_snapshot, new_intake, stored_letter
from tests.unit.memory import MemoryDestination, MemoryMailbox

SENTENCE = "unexpected KeyError in the connector; see the log"
POLICIES = MarkPolicies()


@dataclass
class Telling(MemoryMailbox):
    """A mailbox that can tell when a letter was published."""

    def earliest(self, *_: Any) -> datetime | None:
        """Begin thirty days back."""
        return NOW - timedelta(days=30)

    def published(self, ref: LetterRef) -> datetime:
        """When the letter came."""
        self._called("published", ref.external_id)
        return NOW - timedelta(days=60)


@dataclass
class Odd(MemoryDestination):
    """A destination that delivers, and fails at everything else."""

    error: Exception = field(default_factory=Exception)
    await_pickup: timedelta | None = timedelta(days=1)

    def pickup(self, evidence: Mapping[str, Any]) -> Pickup:  # noqa: ARG002
        """Fail."""
        raise self.error

    def dedup_records(self) -> Sequence[UUID]:
        """Fail."""
        raise self.error

    def forget(self, deliveries: Collection[UUID]) -> None:  # noqa: ARG002
        """Fail."""
        raise self.error

    def notify(self, notification: Notification) -> None:  # noqa: ARG002
        """Fail."""
        raise self.error


@dataclass
class Desk:
    """A store, and connectors that fail with `error`."""

    store: Store
    content: ContentFolder
    clock: Clock
    folder: Path
    error: Exception
    mailbox: Telling = field(default_factory=lambda: Telling(look_back=timedelta()))
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def intake(self) -> Intake:
        """Over the store."""
        return new_intake(self.store, self.content, self.clock)

    def break_at(self, verb: str, what: str) -> None:
        """Let one kind of call fail from now on."""
        self.mailbox.fails[verb, what] = repeat(self.error)

    def compare(self) -> list[str]:
        """Compare everything; the problems."""
        reconciliation = Reconciliation(store=self.store, intake=self.intake)
        (compared,) = reconciliation.run(self.mailbox, POLICIES, self.stopping)
        return compared.problems


def listing(desk: Desk) -> str | None:
    """A poll's listing of one channel."""
    desk.break_at("list", "skatt")
    desk.intake.poll(desk.mailbox, POLICIES, desk.stopping)
    return desk.store.bookmarks.of_channel("altinn", TAX).last_error


def fetching(desk: Desk) -> str | None:
    """The download of one letter."""
    desk.mailbox.publish("a")
    desk.break_at("fetch", "a")
    desk.intake.poll(desk.mailbox, POLICIES, desk.stopping)
    (failing,) = desk.store.queries.sightings(SightingState.FAILING)
    return failing.last_error


def comparing(desk: Desk) -> str:
    """The comparison of one channel."""
    desk.break_at("list", "skatt")
    return "".join(desk.compare())


def looking_back(desk: Desk) -> str:
    """The question when an older letter was published."""
    desk.intake.poll(desk.mailbox, POLICIES, desk.stopping)
    desk.mailbox.publish("old", requested_at=NOW - timedelta(days=60))
    desk.break_at("published", "old")
    (problem,) = desk.compare()
    return problem.partition(": ")[2]


def asking_again(desk: Desk) -> str:
    """The download of an attachment that is missing."""
    desk.mailbox.publish("a", b"what was sent")
    desk.mailbox.contents["a/1"] = [b"what was damaged"]
    desk.intake.poll(desk.mailbox, POLICIES, desk.stopping)
    desk.break_at("open_part", "a/1")
    work = Refetch(store=desk.store, fetcher=desk.intake.fetcher, clock=desk.clock)
    (asked,) = work.run(desk.mailbox, desk.store.queries.message("a"))
    assert asked.after is PartState.CHECKSUM_FAILED
    return asked.problem


def asking_for_the_letter(desk: Desk) -> str:
    """The same, where the letter itself cannot be had: the command's error, without a traceback."""
    desk.mailbox.publish("a", b"what was sent")
    desk.mailbox.contents["a/1"] = [b"what was damaged"]
    desk.intake.poll(desk.mailbox, POLICIES, desk.stopping)
    desk.break_at("fetch", "a")
    work = Refetch(store=desk.store, fetcher=desk.intake.fetcher, clock=desk.clock)
    with pytest.raises(ConnectorFault) as caught:
        work.run(desk.mailbox, desk.store.queries.message("a"))
    return str(caught.value)


def marking(desk: Desk) -> str | None:
    """A mark."""
    desk.store.letters.add([stored_letter("a", marks={MarkKind.READ: Policy.STORED})])
    desk.break_at("mark_read", "a")
    sender = MarkSender(store=desk.store, clock=desk.clock)
    assert sender.send_due(desk.mailbox, desk.stopping) == 1
    (mark,) = desk.store.queries.marks(message_id("altinn", "a"))
    return mark.last_error


def picking_up(desk: Desk) -> str:
    """A look whether a delivery was taken."""
    desk.content.put([b"pdf"])
    desk.store.letters.add([stored_letter("a", ("erp",))])
    dispatch = Dispatch(
        store=desk.store,
        content=desk.content,
        active=active_snapshot({"erp": Shelf()}),
        clock=desk.clock,
        give_up_after=timedelta(days=5),
    )
    assert dispatch.deliver_due(desk.stopping) == {Outcome.DELIVERED: 1}
    active = active_snapshot({"erp": Odd(error=desk.error)})
    pickups = Pickups(store=desk.store, active=active, clock=desk.clock)
    assert pickups.look() == 1
    return "pickup cannot be seen now"


@dataclass
class Shelf(MemoryDestination):
    """A destination whose deliveries are to be picked up."""

    await_pickup: timedelta | None = timedelta(days=1)

    def pickup(self, evidence: Mapping[str, Any]) -> Pickup:
        """Never asked."""
        raise NotImplementedError


def forgetting(desk: Desk) -> str:
    """The removal of what a destination remembers."""
    DedupCleanup(desk.store).flush("erp", Odd(error=desk.error), [uuid4()])
    return "traces of what is delivered are left"


def notifying(desk: Desk) -> str:
    """An alert."""
    configuration = Configuration(
        path=desk.folder / "postmottak.toml",
        text="",
        store=StoreSettings(
            database=f"sqlite:///{desk.folder / 'postmottak.db'}", content=desk.folder / "content"
        ),
        mailboxes=(),
        destinations=(),
        delivery=DeliverySettings(),
        routing=RoutingSettings(file=desk.folder / "routing.toml"),
        alerts=AlertSettings(to=("erp",), free_bytes=0),
    )
    AlertNotifier(
        store=desk.store,
        active=active_snapshot({"erp": Odd(error=desk.error)}, configuration=configuration),
        faults=lambda: [Fault(file="routing.toml", key="to", problem="is wrong", remedy="Fix it")],
        clock=desk.clock,
        heartbeats=Heartbeats(),
    ).look()
    (alert,) = desk.store.alerts.all()
    assert alert.told == {}
    return "an alert could not be sent; it is tried again"


MAILBOX_CALLS = [
    listing,
    fetching,
    comparing,
    looking_back,
    asking_again,
    asking_for_the_letter,
    marking,
]
DESTINATION_CALLS = [picking_up, forgetting, notifying]


@pytest.fixture
def desk(store: Store, content: ContentFolder, clock: Clock, tmp_path: Path) -> Desk:
    """A desk whose connectors fail in a way that nobody foresaw."""
    return Desk(store, content, clock, tmp_path, KeyError("title"))


def surprises(logged: list[Any]) -> Iterator[str]:
    """The events of unexpected failures."""
    return (line["event"] for line in logged if line.get("exc_info"))


@pytest.mark.parametrize("call", MAILBOX_CALLS, ids=lambda call: call.__name__)
def test_a_mailbox_that_raises_something_odd(
    desk: Desk, logged: list[Any], call: Callable[[Desk], str | None]
) -> None:
    """It is the problem of one letter, channel, attachment or mark; the log has the fault."""
    assert call(desk) == SENTENCE
    assert set(surprises(logged)) == {"the connector failed unexpectedly"}


@pytest.mark.parametrize("call", DESTINATION_CALLS, ids=lambda call: call.__name__)
def test_a_destination_that_raises_something_odd(
    desk: Desk, logged: list[Any], call: Callable[[Desk], str]
) -> None:
    """It is tried again later, and the log says what, why, and has the fault."""
    event = call(desk)
    assert [line["reason"] for line in logged if line["event"] == event] == [SENTENCE]
    assert list(surprises(logged)) == ["the connector failed unexpectedly"]


@pytest.mark.parametrize(
    "call", [*MAILBOX_CALLS, *DESTINATION_CALLS], ids=lambda call: call.__name__
)
def test_a_failure_of_the_store_is_never_swallowed(desk: Desk, call: Callable[[Desk], Any]) -> None:
    """What is raised because nothing can be kept ends the work, wherever it comes up."""
    desk.error = StoreError("the disk is gone")
    with pytest.raises(StoreError, match="the disk is gone"):
        call(desk)


def test_what_is_foreseen_is_returned_as_it_is(logged: list[Any]) -> None:
    """A failure that has a name is the outcome itself, and not logged; so is a store's, if the
    caller passes it on."""
    away, lost = MailboxUnavailable("away"), StoreError("lost")

    def fail(error: Exception) -> Any:
        raise error

    assert call_connector(lambda: 7) == 7
    assert call_connector(lambda: fail(away)) is away
    assert outcome_of(lambda: fail(lost)) is lost
    assert logged == []
