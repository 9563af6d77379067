"""Asking again for what did not come with a letter: what comes is kept, and what is here is never
made worse."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import repeat
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.core.errors import LetterGone, MailboxUnavailable, PartUnavailable
from daemon.core.model import Attachment, MarkState, Part, PartState, Policy, message_id
from daemon.delivery.marks import MarkSender
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import Intake
from daemon.intake.refetch import Asked, Refetch
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import Clock, md5, new_intake
from tests.unit.memory import MemoryMailbox

pytestmark = pytest.mark.both_databases

AWAY = MailboxUnavailable("Altinn does not answer")
RIGHT, WRONG = b"what was sent", b"what was damaged"


@dataclass
class Desk:
    """A letter `a` in a mailbox and in a store."""

    store: Store
    content: ContentFolder
    clock: Clock
    intake: Intake
    mailbox: MemoryMailbox

    def poll(self) -> None:
        """One round, after which the sender is to be told Read."""
        self.intake.poll(self.mailbox, MarkPolicies(read=Policy.STORED), threading.Event())

    def ask(self, *, accept: bool = False) -> list[Asked]:
        """Ask again."""
        work = Refetch(store=self.store, fetcher=self.intake.fetcher, clock=self.clock)
        return work.run(self.mailbox, self.store.queries.message("a"), accept=accept)

    def tell(self) -> list[str]:
        """Who was told."""
        MarkSender(store=self.store, clock=self.clock).send_due(self.mailbox, threading.Event())
        return self.mailbox.told_read

    def refuse(self, name: str, state: PartState) -> None:
        """Let the mailbox say from now on that it does not have an attachment."""
        self.mailbox.fails["open_part", name] = repeat(PartUnavailable("not here", state=state))

    @property
    def parts(self) -> list[Attachment]:
        """What is here."""
        return list(self.store.queries.attachments(message_id(self.mailbox.name, "a")))


@pytest.fixture
def desk(store: Store, content: ContentFolder, clock: Clock) -> Desk:
    """A desk; nothing is published yet."""
    return Desk(store, content, clock, new_intake(store, content, clock), MemoryMailbox())


def corruption(desk: Desk, name: str = "a/1") -> None:
    """Serve something else than the sender's checksum promises."""
    desk.mailbox.contents[name] = [WRONG]


def withhold(desk: Desk, name: str = "a/1") -> None:
    """Refuse it for a reason that may pass."""
    desk.refuse(name, PartState.UNAVAILABLE)


@pytest.mark.parametrize("trouble", [corruption, withhold])
def test_what_comes_is_kept(desk: Desk, trouble: Callable[[Desk], None]) -> None:
    """The attachment is here as it was sent, under the name that it had, the others are as they
    were, and the sender is told."""
    desk.mailbox.publish("a", RIGHT, b"the other")
    trouble(desk)
    desk.poll()
    before = desk.parts
    assert (desk.tell(), before[0].state is not PartState.PRESENT) == ([], True)
    assert [(each.before, each.after) for each in desk.ask()] == [
        (before[0].state, before[0].state)
    ], "it is still in trouble"
    desk.mailbox.fails.clear()
    desk.mailbox.contents["a/1"] = [RIGHT]
    (asked,) = desk.ask()
    assert (asked.position, asked.name, asked.came) == (1, before[0].safe_name, True)
    with desk.content.open(str(desk.parts[0].sha256)) as file:
        assert file.read() == RIGHT
    assert (desk.parts[0].state, desk.parts[0].size, desk.parts[0].safe_name) == (
        PartState.PRESENT,
        len(RIGHT),
        before[0].safe_name,
    )
    assert desk.parts[1] == before[1]
    assert (desk.tell(), desk.store.queries.incomplete(), desk.ask()) == (["a"], [], [])


@pytest.mark.parametrize("state", [PartState.EXPIRED, PartState.PURGED])
def test_what_is_gone_is_known_to_be(desk: Desk, state: PartState) -> None:
    """Once the source itself says that an attachment is gone, nobody waits for it any more; worse
    bytes than were sent stay."""
    desk.mailbox.publish("a", RIGHT, RIGHT)
    corruption(desk)
    withhold(desk, "a/2")
    desk.poll()
    assert desk.tell() == []
    for name in ("a/1", "a/2"):
        desk.refuse(name, state)
    assert [(each.before, each.after) for each in desk.ask()] == [
        (PartState.CHECKSUM_FAILED, PartState.CHECKSUM_FAILED),
        (PartState.UNAVAILABLE, state),
    ]
    with desk.content.open(str(desk.parts[0].sha256)) as file:
        assert file.read() == WRONG
    assert desk.tell() == ["a"]


def test_a_letter_that_is_gone(desk: Desk) -> None:
    """Where the letter is gone at the source, so are its attachments, and nobody waits for them."""
    desk.mailbox.publish("a", RIGHT)
    withhold(desk)
    desk.poll()
    desk.mailbox.fails["fetch", "a"] = repeat(LetterGone("withdrawn"))
    assert [each.after for each in desk.ask()] == [PartState.PURGED]
    assert desk.store.marks.parts_wanting(message_id("altinn", "a")) == 0


def test_a_mailbox_that_is_away(desk: Desk) -> None:
    """What cannot be asked for now stays as it is, with the reason; the other attachments are asked
    for."""
    desk.mailbox.publish("a", RIGHT, RIGHT)
    withhold(desk)
    withhold(desk, "a/2")
    desk.poll()
    desk.mailbox.fails = {("open_part", "a/1"): repeat(AWAY)}
    assert [(each.after, each.problem) for each in desk.ask()] == [
        (PartState.UNAVAILABLE, str(AWAY)),
        (PartState.PRESENT, ""),
    ]
    desk.mailbox.fails["fetch", "a"] = iter([AWAY])
    with pytest.raises(MailboxUnavailable):
        desk.ask()
    assert [each.state for each in desk.parts] == [PartState.UNAVAILABLE, PartState.PRESENT]


def test_an_operator_may_accept_it(desk: Desk) -> None:
    """With `accept` what does not come is waited for no longer: the sender is told, and it may be
    asked for all the same."""
    desk.mailbox.publish("a", RIGHT)
    withhold(desk)
    desk.poll()
    assert (desk.tell(), len(desk.store.queries.incomplete())) == ([], 1)
    assert [each.came for each in desk.ask(accept=True)] == [False]
    assert (desk.tell(), desk.store.queries.incomplete()) == (["a"], [])
    desk.mailbox.fails.clear()
    assert [each.came for each in desk.ask()] == [True]


answers = st.lists(
    st.sampled_from(["right", "wrong", "unavailable", "expired", "away", "gone", "left out"]),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(answers=answers)
def test_nothing_is_made_worse(desk: Desk, answers: list[str]) -> None:
    """Whatever the source says time after time, bytes that are here stay, or give way to better
    ones."""
    desk.mailbox = MemoryMailbox(name=uuid4().hex)
    ref = desk.mailbox.publish("a", RIGHT)
    worth = {PartState.PRESENT: 2, PartState.CHECKSUM_FAILED: 1}
    best = 0
    for place, answer in enumerate(answers):
        desk.mailbox.fails = {}
        desk.mailbox.contents["a/1"] = [WRONG if answer == "wrong" else RIGHT]
        if answer in {"unavailable", "expired"}:
            desk.refuse("a/1", PartState(answer))
        if answer == "away":
            desk.mailbox.fails["open_part", "a/1"] = repeat(AWAY)
        if answer == "gone":
            desk.mailbox.fails["fetch", "a"] = repeat(LetterGone("withdrawn"))
        channel, letter = desk.mailbox.letters["a"]
        here = (
            ()
            if answer == "left out"
            else (
                Part(external_id="a/1", original_name="Vedlegg 1.pdf", sender_checksum=md5(RIGHT)),
            )
        )
        desk.mailbox.letters["a"] = channel, replace(letter, parts=here)
        if not desk.store.letters.stored_of([ref.message_id]):
            if answer not in {"left out", "gone"}:
                desk.poll()
        else:
            work = Refetch(store=desk.store, fetcher=desk.intake.fetcher, clock=desk.clock)
            work.run(desk.mailbox, desk.store.queries.message_by_id(ref.message_id))
        now = max((worth.get(each.state, 0) for each in desk.parts), default=0)
        assert now >= best, place
        best = max(now, 2 if answer == "right" and desk.parts else now)
        assert now == best
        assert all(
            desk.content.fault(str(each.sha256)) == "" for each in desk.parts if each.state in worth
        )


def test_a_mark_that_was_put_off_is_due_at_once(desk: Desk) -> None:
    """When the missing part is here, the sender need not wait for the time that was set for the
    next try."""
    desk.mailbox.publish("a", RIGHT)
    withhold(desk)
    desk.poll()
    desk.tell()
    desk.clock.advance(days=3)
    desk.tell()
    desk.clock.advance(minutes=1)
    desk.mailbox.fails.clear()
    desk.ask()
    assert desk.tell() == ["a"]
    (mark,) = desk.store.queries.marks(message_id("altinn", "a"))
    assert (mark.state, mark.last_error) == (MarkState.DONE, None)
