"""Files that come later than their letters: asked for again, kept, delivered where they lack."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from daemon.core.callbacks import do_nothing
from daemon.core.errors import AccessRefused, LetterGone, MailboxUnavailable, PartUnavailable
from daemon.core.missing_files import MissingFile, Opening, OpeningRow
from daemon.core.model import (
    Attachment,
    Delivery,
    DeliveryState,
    Letter,
    LetterRef,
    PartState,
    message_id,
)
from daemon.intake.file_retries import GIVEN_UP_AFTER
from daemon.intake.late_files import LateFiles
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import Intake
from daemon.runtime.heartbeat import mailbox_with_heartbeat
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.claiming import ENDS, LEASE
from tests.unit.conftest import ROOT, TABLE, Clock, new_intake
from tests.unit.memory import MemoryMailbox

pytestmark = pytest.mark.both_databases

KEY = message_id("altinn", "a")
LATER = PartUnavailable("its owner answered 409", state=PartState.UNAVAILABLE, retry=True)
NEVER = PartUnavailable("a log-in page came instead", state=PartState.UNAVAILABLE)


@dataclass
class Desk:
    """A letter `a`, and the service's work on it, which may be begun again at any time."""

    store: Store
    content: ContentFolder
    clock: Clock
    intake: Intake
    mailbox: MemoryMailbox = field(default_factory=MemoryMailbox)

    def poll(self) -> None:
        """Fetch what is new."""
        self.intake.poll(self.mailbox, MarkPolicies(), threading.Event())

    def ask(self, **by: float) -> int:
        """Ask for what is due, some time later; what was in memory is gone."""
        self.clock.advance(**by)
        work = LateFiles(store=self.store, fetcher=self.intake.fetcher, clock=self.clock)
        # as the service has it
        return work.run(mailbox_with_heartbeat(self.mailbox, do_nothing), threading.Event())

    def refuse(self, error: Exception, *names: str) -> None:
        """Let the mailbox answer so from now on."""
        for name in names or ("a/1",):
            self.mailbox.fails["open_part", name] = repeat(error)

    def end(self, how: str = "delivered") -> list[int]:
        """Attempt what is due, to that end; returns the generations."""
        claims = self.store.outbox.claim("me", self.clock(), LEASE, 10)
        for each in claims:
            ENDS[how](self.store.outbox, each)
        return [each.delivery.generation for each in claims]

    @property
    def part(self) -> Attachment:
        """How the first attachment stands."""
        return self.store.queries.attachments(KEY)[0]

    @property
    def file(self) -> MissingFile:
        """What is recorded of its absence."""
        return self.store.missing_files.of(KEY)[1]

    @property
    def deliveries(self) -> list[Delivery]:
        """All deliveries of the letter."""
        return list(self.store.queries.deliveries(message_id=KEY))


@pytest.fixture
def desk(store: Store, content: ContentFolder, clock: Clock) -> Desk:
    """A letter whose attachment cannot be had yet."""
    made = Desk(store, content, clock, new_intake(store, content, clock))
    made.mailbox.publish("a", b"what was sent")
    made.refuse(LATER)
    made.poll()
    return made


def test_a_letter_is_not_held_up_and_the_file_follows(desk: Desk) -> None:
    """The letter is delivered without the file; when that comes, it is delivered once again with
    it, and never more often."""
    assert (desk.part.state, desk.file.reason) == (PartState.UNAVAILABLE, str(LATER))
    assert desk.end() == [1]
    desk.mailbox.fails.clear()
    assert desk.ask(minutes=2) == 1
    assert desk.part.state is PartState.PRESENT
    with desk.content.open(str(desk.part.sha256)) as file:
        assert file.read() == b"what was sent"
    assert desk.end() == [2]
    for _ in range(3):
        assert desk.ask(days=1) == 0
        assert desk.end() == []
    assert len(desk.deliveries) == 2


def test_what_is_not_delivered_yet_needs_no_second_delivery(desk: Desk) -> None:
    """A delivery that waits, or whose attempt failed, takes the file along."""
    assert desk.end("deferred") == [1]
    desk.mailbox.fails.clear()
    assert desk.ask(minutes=2) == 1
    desk.clock.advance(hours=2)
    assert desk.end() == [1]
    desk.ask(days=1)
    assert [each.state for each in desk.deliveries] == [DeliveryState.DELIVERED]


@pytest.mark.parametrize(("end", "generations"), [("delivered", 2), ("deferred", 1), ("dead", 1)])
def test_a_delivery_in_flight_is_judged_when_it_ends(
    desk: Desk, end: str, generations: int
) -> None:
    """It was begun without the file: if it is delivered, it lacks it; otherwise it takes it along
    the next time."""
    (claim,) = desk.store.outbox.claim("me", desk.clock(), LEASE, 10)
    desk.mailbox.fails.clear()
    assert desk.ask(minutes=2) == 1
    assert len(desk.deliveries) == 1
    ENDS[end](desk.store.outbox, claim)
    for _ in range(2):
        desk.ask(minutes=1)
    assert len(desk.deliveries) == generations
    assert desk.file.settled_at


def test_a_destination_that_is_gone_gets_nothing_more(desk: Desk) -> None:
    """A delivery to it would wait for ever."""
    desk.end()
    desk.mailbox.fails.clear()
    gone = replace(TABLE, destinations=frozenset({"mail"}))
    fetcher = replace(desk.intake.fetcher, table=lambda: gone)
    desk.intake = replace(desk.intake, fetcher=fetcher)
    assert desk.ask(minutes=2) == 1
    assert len(desk.deliveries) == 1
    assert desk.file.settled_at


def test_it_is_asked_for_less_and_less_often_and_given_up(desk: Desk) -> None:
    """In two weeks some forty times; then it is unavailable with its last reason, and an operator
    can still ask for it."""
    while desk.file.due_at:
        desk.clock.now = max(desk.clock.now, desk.file.due_at)
        desk.ask()
    assert 10 < desk.file.tries < 50
    assert desk.clock() - desk.file.since >= GIVEN_UP_AFTER
    tries = desk.file.tries
    desk.ask(days=30)
    assert (desk.file.tries, desk.part.state) == (tries, PartState.UNAVAILABLE)


def test_the_wait_that_was_asked_for_is_kept(desk: Desk) -> None:
    """A server that asks for two hours is not asked before."""
    wait = timedelta(hours=2)
    desk.refuse(MailboxUnavailable("the host is down", retry_after=wait))
    desk.ask(minutes=2)
    assert desk.file.due_at == desk.clock() + wait
    assert desk.file.reason == "the host is down"


def test_a_clock_that_was_wrong_makes_nobody_wait(desk: Desk) -> None:
    """What is due in a time that was never is due when the clock is right again."""
    right = desk.clock()
    desk.ask(days=10)
    desk.clock.now = right
    assert desk.store.stamps.pull_back(right, timedelta(days=1)) > 0
    desk.mailbox.fails.clear()
    assert desk.ask() == 1


def test_what_no_retry_helps_is_not_asked_for(
    store: Store, content: ContentFolder, clock: Clock
) -> None:
    """It has its reason, and costs no call."""
    desk = Desk(store, content, clock, new_intake(store, content, clock))
    desk.mailbox.publish("a", b"x")
    desk.refuse(NEVER)
    desk.poll()
    desk.mailbox.calls.clear()
    desk.ask(days=1)
    assert (desk.file.due_at, desk.file.reason, desk.mailbox.calls) == (None, str(NEVER), [])


def test_a_letter_that_is_gone_is_asked_for_no_more(desk: Desk) -> None:
    """Its file is gone with it; the letter stays."""
    desk.refuse(LetterGone("the dialog is no longer in Dialogporten"))
    desk.ask(minutes=2)
    assert (desk.part.state, desk.file.due_at) == (PartState.PURGED, None)


def test_one_that_an_operator_accepts_is_asked_for_no_more(desk: Desk) -> None:
    """`refetch --accept` ends it."""
    desk.store.attachments.accept(KEY, desk.clock())
    assert desk.file.due_at is None


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("where", ["open_part", "came", "settle"])
def test_a_kill_at_any_step_repeats_work_and_loses_nothing(
    desk: Desk, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the bytes are durable, before they are recorded, and before the letter is delivered
    again: a later run does the rest, once."""
    desk.end()
    desk.mailbox.fails.clear()
    with monkeypatch.context() as patch:
        if where == "open_part":
            desk.mailbox.fails["open_part", "a/1"] = iter([Killed()])  # type: ignore[list-item]
        else:
            patch.setattr(desk.store.missing_files, where, _killed)
        with pytest.raises(Killed):
            desk.ask(minutes=2)
    desk.ask(minutes=2)
    assert desk.part.state is PartState.PRESENT
    assert desk.end() == [2]
    desk.ask(days=1)
    assert len(desk.deliveries) == 2


def _killed(*_: Any) -> None:
    raise Killed


def test_a_process_that_is_killed_repeats_work_and_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL before and after each step: the file is here in the end, and was sent once more."""
    command = [sys.executable, "-m", "tests.processes.late_files", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(": right") == 8


class OpeningMailbox(MemoryMailbox):
    """A mailbox whose letters show their attachments only when they are opened."""

    def fetch(self, ref: LetterRef) -> Letter:
        whole = super().fetch(ref)
        return Letter(envelope=whole.envelope, parts=(), opening=OPENING)

    def open_stored(self, ref: LetterRef) -> Letter:
        self._called("open_stored", ref.external_id)
        return self.letters[ref.external_id][1]


OPENING = Opening(by="the system user of 991825827", why="seen = stored", done=False)


@pytest.fixture
def opening(store: Store, content: ContentFolder, clock: Clock) -> Desk:
    """A letter that is to be opened once it is stored."""
    made = Desk(store, content, clock, new_intake(store, content, clock), OpeningMailbox())
    made.mailbox.publish("a", b"one", b"two")
    return made


def test_a_letter_is_opened_only_when_it_is_stored(opening: Desk) -> None:
    """Then once, with who and why on record; what opening it has shown becomes its attachments, and
    is delivered to those who got it without."""
    seen: list[bool] = []
    opening.mailbox.during = lambda verb, _: (
        seen.append(bool(opening.store.letters.stored_of([KEY]))) if verb == "open_stored" else None
    )
    opening.poll()
    assert seen == []
    assert opening.end() == [1]
    assert opening.ask() == 2
    row = opening.store.openings.of(KEY)
    assert row is not None
    assert (row.by, row.why, row.opened_at) == (OPENING.by, OPENING.why, opening.clock())
    assert [each.state for each in opening.store.queries.attachments(KEY)] == [
        PartState.PRESENT
    ] * 2
    assert opening.end() == [2]
    opening.ask(days=1)
    assert seen == [True]
    assert opening.end() == []


def test_one_that_cannot_be_opened_is_tried_again(opening: Desk) -> None:
    """With its reason; a crash after it was opened opens it again, and changes nothing."""
    opening.poll()
    opening.mailbox.fails["open_stored", "a"] = iter([AccessRefused("no right")])
    opening.ask()
    row = opening.store.openings.of(KEY)
    assert isinstance(row, OpeningRow)
    assert (row.opened_at, row.last_error, row.tries) == (None, "no right", 1)
    assert opening.ask(minutes=2) == 2
