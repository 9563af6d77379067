"""What is not here: channels, letters and parts that did not come are seen by status, monitors and
alerts alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import repeat
from pathlib import Path

import pytest

from daemon.config.loader import (
    AlertSettings,
    Configuration,
    DeliverySettings,
    MailboxConfiguration,
    RoutingSettings,
)
from daemon.config.store import StoreSettings
from daemon.core.bookkeeping import Alert
from daemon.core.errors import AccessRefused, MailboxUnavailable
from daemon.core.model import MarkKind, PartState, Policy, SightingState
from daemon.core.settings import MailboxSettings
from daemon.delivery.marks import MarkSender
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import Intake
from daemon.monitoring.problems import Problem, find_problems
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, TAX, Clock, envelope, new_intake, stored_letter
from tests.unit.memory import MemoryMailbox

AWAY = MailboxUnavailable("Altinn does not answer")
OTHER = replace(TAX, service="4255/1", resource="plan")
PRESUMED = replace(TAX, service="4255/2", resource="bygg", presumed=True)


@dataclass
class Office:
    """A store that is polled, and what is wrong with it."""

    store: Store
    clock: Clock
    mailbox: MemoryMailbox
    intake: Intake
    configuration: Configuration

    def poll(self, **later: float) -> None:
        """A round, at once or `later`."""
        self.clock.advance(**later)
        self.intake.poll(self.mailbox, MarkPolicies(), threading.Event())

    def wrong(self) -> list[Problem]:
        """Everything that is wrong now."""
        return find_problems(self.configuration, self.store, self.clock())

    def kinds(self) -> list[tuple[str, bool]]:
        """The same: the kind, and whether it is critical."""
        return [(each.kind, each.critical) for each in self.wrong()]


@pytest.fixture
def office(store: Store, clock: Clock, content: ContentFolder, tmp_path: Path) -> Office:
    """Two services of a party."""
    configuration = Configuration(
        path=tmp_path / "postmottak.toml",
        text="",
        store=StoreSettings(database=f"sqlite:///{tmp_path / 'postmottak.db'}", content=tmp_path),
        mailboxes=(
            MailboxConfiguration(name="altinn", type="altinn3", settings=MailboxSettings()),
        ),
        destinations=(),
        delivery=DeliverySettings(),
        routing=RoutingSettings(file=tmp_path / "routing.toml"),
        alerts=AlertSettings(
            free_bytes=0, undelivered_after=timedelta(hours=4), silent_after=timedelta(hours=1)
        ),
    )
    mailbox = MemoryMailbox(boxes=[TAX, OTHER, PRESUMED])
    return Office(store, clock, mailbox, new_intake(store, content, clock), configuration)


@pytest.mark.parametrize("error", [AWAY, AccessRefused("no right")])
@pytest.mark.parametrize("read_before", [True, False])
def test_one_service_of_several_that_cannot_be_read(
    office: Office, error: Exception, *, read_before: bool
) -> None:
    """What may pass is nothing at first, then a warning, then critical, with which and since when;
    a missing right is a warning at once. It ends with a listing that is whole."""
    if read_before:
        office.poll()
    office.mailbox.fails["list", "plan"] = repeat(error)
    office.poll()
    refused = read_before and isinstance(error, AccessRefused)
    at_once = [("unread", False)] if isinstance(error, AccessRefused) else []
    assert office.kinds() == ([("rights", True)] if refused else at_once)
    office.poll(minutes=61)
    office.poll(minutes=61)
    assert office.kinds() == [("rights", True) if refused else ("unread", False)]
    assert (
        f": {error}: {'991825827 ' if refused else ''}4255/1 plan"
        f"{'' if refused else ' since 2026-11-24 09:00 UTC'}; " in office.wrong()[0].text
    )
    office.poll(hours=3)
    assert office.kinds() == [("rights", True) if refused else ("unread", True)]
    office.mailbox.fails.clear()
    office.poll()
    assert office.kinds() == []


def test_a_listing_that_is_never_whole(office: Office) -> None:
    """Letters that a list does not hold are as much not seen as those of a list that fails."""
    office.mailbox.shortfall = "more than 1000 letters share a time"
    office.mailbox.boxes = [OTHER]
    office.poll()
    office.mailbox.boxes = [TAX]
    office.mailbox.shortfall = ""
    office.poll(hours=2)
    assert office.kinds() == [("unread", False)]


def test_what_nobody_asked_for_may_be_refused(office: Office) -> None:
    """A presumed resource without access to it is not a problem, however long that lasts."""
    office.mailbox.fails["list", "bygg"] = repeat(AccessRefused("no right"))
    office.poll()
    office.poll(days=2)
    assert office.kinds() == []


@pytest.mark.parametrize("error", [AWAY, AccessRefused("no right")])
def test_a_service_that_is_no_longer_configured(office: Office, error: Exception) -> None:
    """What an operator takes out of the configuration is missed no longer, nor are its letters that
    failed; and it is when it is back."""
    office.mailbox.publish("a", channel=OTHER)
    office.mailbox.fails["fetch", "a"] = repeat(AWAY)
    office.poll()
    office.mailbox.fails["list", "plan"] = repeat(error)
    office.poll()
    office.poll(days=1)
    assert {kind for kind, _ in office.kinds()} == {
        "unfetched",
        "rights" if isinstance(error, AccessRefused) else "unread",
    }
    office.mailbox.boxes = [TAX]
    assert office.store.bookmarks.retire("altinn", office.mailbox.channels(), office.clock()) == 2
    assert office.kinds() == []
    assert office.store.bookmarks.retire("altinn", office.mailbox.channels(), office.clock()) == 0
    office.mailbox.boxes = [TAX, OTHER]
    office.poll()
    office.poll(days=1)
    assert {kind for kind, _ in office.kinds()} == {
        "unfetched",
        "rights" if isinstance(error, AccessRefused) else "unread",
    }


def test_a_mailbox_that_is_silent_is_told_once(office: Office) -> None:
    """Where nothing at all can be read, one line says so, and not one for each service."""
    office.poll()
    for channel in (TAX, OTHER, PRESUMED):
        office.mailbox.fails["list", channel.resource] = repeat(AWAY)
    office.poll(hours=2)
    assert office.kinds() == [("silence", True)]


def test_a_letter_that_cannot_be_fetched(office: Office) -> None:
    """It is nothing for an hour, then a warning, then critical, with its id and since when, until
    it is here."""
    office.mailbox.publish("stuck", title="Oppsigelse av Kari")
    office.mailbox.fails["fetch", "stuck"] = repeat(AWAY)
    office.poll()
    assert office.kinds() == []
    office.poll(minutes=61)
    assert office.kinds() == [("unfetched", False)]
    assert "stuck since 2026-11-24 09:00 UTC" in office.wrong()[0].text
    assert "Kari" not in office.wrong()[0].text
    office.poll(hours=3)
    assert office.kinds() == [("unfetched", True)]
    office.mailbox.fails.clear()
    office.poll()
    assert office.kinds() == []


def test_a_letter_that_failed_after_it_was_left_alone(office: Office, clock: Clock) -> None:
    """A letter fails since its first failure, not since it was first listed."""
    office.poll()
    ref = envelope("a").ref
    office.store.letters.record_waiting([ref], NOW - timedelta(days=90))
    office.store.letters.record_skipped(ref, SightingState.FAILING, clock(), "away")
    assert office.kinds() == []
    office.poll(minutes=61)
    office.store.letters.record_skipped(ref, SightingState.FAILING, clock(), "away")
    assert office.kinds() == [("unfetched", False)]


@pytest.mark.parametrize("state", PartState)
def test_a_letter_without_a_part(
    office: Office, store: Store, clock: Clock, state: PartState
) -> None:
    """A letter that came without a part is a warning; if the part may still come, critical after a
    while; when accepted, nothing."""
    office.poll()
    letter = stored_letter("a", ())
    letter.attachments[0].state = state
    store.letters.add([letter])
    whole = state in {PartState.PRESENT, PartState.DELETED}
    assert office.kinds() == ([] if whole else [("incomplete", False)])
    office.poll(hours=5)
    may_come = state in {PartState.CHECKSUM_FAILED, PartState.UNAVAILABLE}
    assert office.kinds() == ([] if whole else [("incomplete", may_come)])
    assert [each.message_id for each in store.queries.incomplete()] == (
        [] if whole else [letter.message.id]
    )
    store.attachments.accept(letter.message.id, clock())
    assert (office.kinds(), store.queries.incomplete()) == ([], [])


def test_a_sender_who_cannot_be_told(office: Office, store: Store, clock: Clock) -> None:
    """A mark that is refused for hours is a warning, with how many and since when."""
    office.poll()
    store.letters.add([stored_letter("a", (), marks={MarkKind.READ: Policy.STORED})])
    office.mailbox.fails["mark_read", "a"] = repeat(AccessRefused("no right"))
    tell: Callable[[], int] = lambda: MarkSender(store=store, clock=clock).send_due(  # noqa: E731
        office.mailbox, threading.Event()
    )
    tell()
    assert office.kinds() == []
    office.poll(hours=5)
    assert office.kinds() == [("untold", False)]
    assert "1, since 2026-11-24 09:00 UTC" in office.wrong()[0].text
    office.mailbox.fails.clear()
    tell()
    assert office.kinds() == []


def test_what_becomes_critical_is_told_again(store: Store) -> None:
    """An alert that was a warning when it was told begins once more when it has become critical,
    and only then."""

    def note(*, critical: bool) -> Alert:
        store.alerts.note(
            [Alert(key="unread altinn", kind="unread", critical=critical, text="x", began_at=NOW)],
            NOW,
        )
        (alert,) = store.alerts.all()
        return alert

    store.alerts.told(note(critical=False), "mail", "begun")
    assert note(critical=False).told == {"mail": "begun"}
    alert = note(critical=True)
    assert alert.told == {}
    store.alerts.told(alert, "mail", "begun")
    assert note(critical=True).told == {"mail": "begun"}
