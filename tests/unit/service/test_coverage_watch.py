"""What coverage lacks is found within a day, notified of once, and once more when it is mended."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from daemon.core.bookkeeping import Bookmark
from daemon.core.coverage import FindingKind
from daemon.core.errors import MailboxUnavailable
from daemon.core.parties import MailboxParty
from daemon.core.ports import Channel
from daemon.monitoring.coverage_problems import findings
from daemon.service.coverage_watch import CoverageWatch
from daemon.service.sender_watch import SenderWatch
from daemon.store import senders
from daemon.store.sql_words import run
from tests.unit.alerting import Desk, new_desk  # noqa: F401  # a fixture
from tests.unit.conftest import PARTY, SECRET, stored_letter

OTHER, SENDER = "910075918", "974761076"
TAX, PLAN = "4255/8", "4255/1"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NO_RIGHT = "the system user may not read it; have the party give it the right"
NO_USER = "Maskinporten refuses a token: it knows no matching system user. Usual causes: 1) this"


@dataclass
class Box:
    """A mailbox whose resources are configured."""

    name: str = "altinn"
    finds_resources: bool = False
    answer: dict[str, list[str]] | Exception = field(default_factory=lambda: {TAX: ["skatt"]})
    asked: int = 0
    resource_question: tuple[str, ...] = ()

    def find_resources(self) -> Mapping[str, Sequence[str]]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def use_resources(self, _resources: Mapping[str, Sequence[str]]) -> None:
        raise AssertionError

    def channels(self) -> Sequence[Channel]:
        return [Channel(party=PARTY, service=TAX, resource="skatt")]


@dataclass
class Office:
    """A service whose time moves only when it is told to."""

    desk: Desk
    box: Box
    certain: bool = True
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why channels are refused, by organisation and service."""
    begun: set[tuple[str, str]] = field(default_factory=lambda: {(PARTY, TAX)})
    """Which channels were read."""
    sent: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        desk, boxes = self.desk, [self.box]
        mailboxes: Any = boxes
        self.watch = CoverageWatch(mailboxes, desk.store, lambda: desk.configuration, desk.clock)
        self.senders = SenderWatch(["altinn"], desk.store, desk.clock, lambda: self.certain)
        self.alerter = desk.make()

    def go_on(self, time: timedelta) -> None:
        """Let time pass, with a round and a look at problems four times a day."""
        until = self.desk.clock() + time
        while self.desk.clock() < until:
            self.desk.clock.now = min(self.desk.clock() + DAY / 4, until)
            self.round()

    def wait(self, days: int) -> None:
        """Let days pass, with rounds on the last of them."""
        self.desk.clock.advance(days=days - 1)
        self.go_on(DAY)

    def round(self) -> None:
        self.desk.store.bookmarks.save([self._bookmark(*each) for each in sorted(self.places())])
        self.watch.refresh("altinn")
        assert self.senders.look(threading.Event()) == self.certain
        self.alerter.look()

    def places(self) -> set[tuple[str, str]]:
        return self.begun | set(self.refused)

    def _bookmark(self, party: str, service: str) -> Bookmark:
        store, now = self.desk.store, self.desk.clock()
        channel = Channel(party=party, service=service, resource=f"r-{service}")
        each = store.bookmarks.of_channel("altinn", channel)
        problem = self.refused.get((party, service))
        each.begun = (party, service) in self.begun
        each.refused, each.last_error = problem is not None, problem
        each.failing_since = (each.failing_since or now) if problem and each.begun else None
        if not problem:
            each.succeeded_at = now
        return each

    def letter(self, published: datetime | None = None, **changes: Any) -> None:
        """A letter comes now."""
        self.sent += 1
        now = self.desk.clock()
        facts = {"published_at": published or now, "sender_org": SENDER, **changes}
        letter = stored_letter(f"letter-{self.sent}", **facts)
        letter.message.fetched_at = now
        self.desk.store.letters.add([letter])

    def writes(self, weeks: int, **changes: Any) -> None:
        """The sender writes each week."""
        for _ in range(weeks):
            self.letter(**changes)
            self.wait(7)

    def told(self, kind: str) -> list[bool]:
        """Return what was notified of a kind: False for a beginning, True for an end."""
        return [ended for each, ended in self.desk.kinds() if each == kind]

    def found(self) -> list[tuple[str, str, str]]:
        """Return what coverage lacks now."""
        own = findings(self.desk.configuration, self.desk.store)
        return [(each.kind.value, each.party, each.subject) for each in own]

    def rows(self, kind: FindingKind) -> int:
        """Count all rows of a kind, ended or not."""
        with self.desk.store.letters._database.read_one() as connection:
            counted = "SELECT COUNT(*) FROM coverage_findings WHERE kind = ?"
            return int(run(connection, counted, (kind.value,)).scalar_one())


@pytest.fixture
def office(desk: Desk) -> Office:
    office = Office(desk, Box())
    office.round()
    return office


def test_a_lost_right(office: Office) -> None:
    """It is found within a day, notified of once, and once more when the right is back; when it is
    lost again, that is another row."""
    office.begun.add((PARTY, PLAN))
    office.go_on(2 * HOUR)
    assert office.found() == []
    office.refused[PARTY, PLAN] = NO_RIGHT
    office.go_on(DAY)
    assert office.found() == [("right", PARTY, f"{PLAN} r-{PLAN}")]
    office.restart()
    office.go_on(2 * DAY)
    assert office.told("rights") == [False]
    del office.refused[PARTY, PLAN]
    office.go_on(DAY)
    assert office.found() == []
    assert office.told("rights") == [False, True]
    office.refused[PARTY, PLAN] = NO_RIGHT
    office.go_on(DAY)
    assert office.rows(FindingKind.RIGHT) == 2


@pytest.mark.both_databases
def test_a_system_user_that_ended(office: Office) -> None:
    """That is one finding, not one for each channel; so is an organisation that is gone, until it
    is back."""
    office.begun |= {(PARTY, PLAN), (OTHER, TAX)}
    office.refused |= {(PARTY, TAX): NO_USER, (PARTY, PLAN): NO_USER}
    gone = MailboxParty(mailbox="altinn", party=OTHER, name="Firma", found_at=office.desk.clock())
    office.desk.store.mailbox_parties.save([gone])
    office.go_on(2 * HOUR)
    assert office.found() == [("system-user", PARTY, "")]
    gone.gone_at = office.desk.clock()
    office.desk.store.mailbox_parties.save([gone])
    office.go_on(2 * HOUR)
    assert office.found() == [("system-user", OTHER, ""), ("system-user", PARTY, "")]
    gone.gone_at = None
    office.desk.store.mailbox_parties.save([gone])
    office.refused.clear()
    office.go_on(2 * HOUR)
    assert office.found() == []


def test_a_service_that_cannot_be_read(office: Office) -> None:
    """It is listed; it is a problem where another organisation can read it, so that the resource is
    there and the right is missing."""
    office.refused[PARTY, PLAN] = NO_RIGHT
    office.go_on(DAY)
    assert office.found() == [("service", PARTY, PLAN)]
    assert office.told("service") == []
    office.begun.add((OTHER, PLAN))
    office.go_on(DAY)
    assert office.told("service") == [False]
    office.begun.add((PARTY, PLAN))
    del office.refused[PARTY, PLAN]
    office.go_on(DAY)
    assert office.found() == []
    assert office.told("service") == [False, True]


def test_a_new_resource(office: Office) -> None:
    """One that is not configured is found within a day, notified of once, and once more when it is
    configured; an outage of the registry changes nothing; services that are not read do not
    matter."""
    office.go_on(2 * DAY)
    assert 1 < office.box.asked <= 3
    office.box.answer = {TAX: ["skatt", "ny-skatt"], PLAN: ["plan"]}
    office.go_on(DAY)
    assert office.found() == [("resource", "", f"{TAX} ny-skatt")]
    office.box.answer = MailboxUnavailable("it is down")
    office.restart()
    office.go_on(2 * DAY)
    assert office.found() == [("resource", "", f"{TAX} ny-skatt")]
    assert office.told("resource") == [False]
    assert "ny-skatt" in office.desk.bell.told[0].text
    office.box.answer = {TAX: ["skatt"]}
    office.go_on(DAY)
    assert office.found() == []
    assert office.told("resource") == [False, True]


def test_a_sender_that_fell_silent(office: Office) -> None:
    """It is found within a day of three times its longest pause, notified of once, whatever becomes
    of the clock and the history, and once more when it writes again; a second silence is another
    row."""
    office.writes(8)
    office.wait(14)
    assert office.found() == []
    office.go_on(2 * DAY)
    assert office.found() == [("sender", PARTY, SENDER)]
    office.restart()
    office.wait(5)
    assert office.told("sender") == [False]
    office.desk.clock.advance(days=-20)
    office.go_on(2 * DAY)
    office.desk.clock.advance(days=20)
    office.letter(office.desk.clock() - 2000 * DAY)
    office.go_on(2 * DAY)
    assert office.found() == [("sender", PARTY, SENDER)]
    assert office.told("sender") == [False]
    office.letter(office.desk.clock() + 400 * DAY)
    office.go_on(DAY)
    assert office.found() == []
    assert office.told("sender") == [False, True]
    assert office.rows(FindingKind.SENDER) == 1


def test_an_outage_is_no_silence(office: Office) -> None:
    """While an organisation cannot be read, or the clock is in doubt, no sender falls silent."""
    office.writes(8)
    office.certain = False
    office.wait(30)
    assert office.found() == []
    office.letter()
    office.certain = True
    office.refused[PARTY, TAX] = NO_RIGHT
    office.wait(90)
    assert [kind for kind, *_ in office.found()] == ["right"]


def test_a_sender_of_confidential_post_is_not_named(office: Office) -> None:
    """Its letters are a history of their own, and the notification does not name it."""
    office.writes(8, service=SECRET.service, resource=SECRET.resource, confidential=True)
    office.letter()
    office.wait(16)
    assert office.found() == [("sender", PARTY, SENDER)]
    (told,) = [each for each in office.desk.bell.told if each.kind == "sender"]
    assert SENDER not in f"{told.subject} {told.text} {told.id}"
    assert "confidential" in told.text


def test_many_silences_are_one_notification(office: Office) -> None:
    """Senders that fall silent together, as in a holiday, are told together, and so is their
    end."""
    others = [f"97476107{number}" for number in range(5)]
    for _ in range(8):
        for each in others:
            office.letter(sender_org=each)
        office.wait(7)
    office.wait(16)
    assert len(office.found()) == len(others)
    assert office.told("sender") == [False]
    for each in others:
        office.letter(sender_org=each)
    office.go_on(DAY)
    assert office.told("sender") == [False, True]


def test_a_look_at_senders_beats_and_can_be_stopped(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends a heartbeat for each piece of letters; one that is stopped has found nothing, and
    is done again."""
    office.writes(8)
    office.desk.clock.advance(days=30)
    office.desk.store.bookmarks.save([office._bookmark(*each) for each in office.places()])
    monkeypatch.setattr(senders, "ROWS", 3)
    stopping, beats = threading.Event(), list[int]()

    def beat() -> None:
        beats.append(1)
        if len(beats) > 1:
            stopping.set()

    assert office.senders.look(stopping, beat)
    assert len(beats) == 2
    assert office.found() == []
    assert office.senders.look(threading.Event())
    assert office.found() == [("sender", PARTY, SENDER)]


@pytest.mark.both_databases
def test_what_expires(office: Office) -> None:
    """A key is listed while it is about to end, as the problem `expiry` has it."""
    office.desk.clock.advance(days=340)
    office.go_on(2 * HOUR)
    assert office.found() == [("expiry", "", "key altinn")]
    assert office.told("expiry") == [False]


@pytest.mark.both_databases
def test_what_ended_long_ago_is_forgotten(office: Office) -> None:
    """Rows that ended are removed by the retention of bookkeeping, open ones never."""
    office.begun |= {(PARTY, PLAN), (OTHER, PLAN)}
    office.refused |= {(PARTY, PLAN): NO_RIGHT, (OTHER, PLAN): NO_RIGHT}
    office.go_on(2 * HOUR)
    del office.refused[PARTY, PLAN]
    office.go_on(2 * HOUR)
    coverage = office.desk.store.coverage
    assert coverage.forget(office.desk.clock() - DAY) == 0
    assert coverage.forget(office.desk.clock() + HOUR) == 1
    assert office.rows(FindingKind.RIGHT) == 1
