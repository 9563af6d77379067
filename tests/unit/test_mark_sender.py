"""Receipts: senders are told Read and Confirmed when that is true, and once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import repeat

import pytest

from daemon.core.errors import AccessRefused, LetterGone, MailboxError, MailboxUnavailable
from daemon.core.model import Mark, MarkKind, MarkState, PartState, Policy, message_id
from daemon.core.parcels import Receipt
from daemon.delivery.marks import MarkSender
from daemon.store import Store, results
from tests.unit.conftest import NOW, Clock, stored_letter
from tests.unit.memory import MemoryMailbox

pytestmark = pytest.mark.both_databases

Tell = Callable[[], int]


@pytest.fixture
def mailbox() -> MemoryMailbox:
    """A mailbox."""
    return MemoryMailbox()


@pytest.fixture
def tell(store: Store, clock: Clock, mailbox: MemoryMailbox, stopping: threading.Event) -> Tell:
    """Set every mark that is due; how many could not be set."""
    return lambda: MarkSender(store=store, clock=clock).send_due(mailbox, stopping)


def the_mark(store: Store, external_id: str = "a") -> Mark:
    """The only mark of a letter."""
    (mark,) = store.queries.marks(message_id("altinn", external_id))
    return mark


def test_a_reason_that_is_not_text(tell: Tell, store: Store, mailbox: MemoryMailbox) -> None:
    """A refusal whose words hold half a surrogate pair is kept, and stops no other mark."""
    marks = {MarkKind.READ: Policy.STORED}
    store.letters.add([stored_letter("a", marks=marks), stored_letter("b", marks=marks)])
    mailbox.fails["mark_read", "a"] = iter([MailboxUnavailable("status \udcf8")])
    assert tell() == 1
    assert mailbox.told_read == ["b"]


@pytest.mark.parametrize("kind", MarkKind)
def test_stored_is_told_at_once(
    tell: Tell, store: Store, mailbox: MemoryMailbox, clock: Clock, kind: MarkKind
) -> None:
    """With the policy `stored` the sender is told as soon as the letter is stored, once, and only
    what the policy says."""
    store.letters.add([stored_letter("a", marks={kind: Policy.STORED}), stored_letter("b")])
    assert (tell(), tell()) == (0, 0)
    clock.advance(minutes=1)
    assert tell() == 0
    assert (mailbox.told_read, mailbox.told_confirmed) == (
        (["a"], []) if kind is MarkKind.READ else ([], ["a"])
    )
    done_at = NOW if kind is MarkKind.READ else clock()
    assert (the_mark(store).state, the_mark(store).done_at, the_mark(store).policy) == (
        MarkState.DONE,
        done_at,
        Policy.STORED,
    )


def test_delivered_is_told_only_then(tell: Tell, store: Store, mailbox: MemoryMailbox) -> None:
    """With the policy `delivered` the sender is told when the last destination has the letter, and
    not before."""
    store.letters.add([stored_letter("a", ("erp", "mail"), {MarkKind.READ: Policy.DELIVERED})])
    for claim in store.outbox.claim("me", NOW, timedelta(hours=1), 2):
        tell()
        assert mailbox.told_read == []
        store.outbox.end([results.delivered(claim, Receipt(reference="x", details={}), NOW, NOW)])
    tell()
    assert mailbox.told_read == ["a"]


def test_read_comes_before_confirmed(tell: Tell, store: Store, mailbox: MemoryMailbox) -> None:
    """A sender who is told both hears Read first."""
    store.letters.add(
        [
            stored_letter(
                "a", marks={MarkKind.CONFIRMED: Policy.STORED, MarkKind.READ: Policy.STORED}
            )
        ]
    )
    tell()
    assert mailbox.calls == [("mark_read", "a"), ("confirm", "a")]


def test_a_confirmation_is_looked_at(
    tell: Tell, store: Store, mailbox: MemoryMailbox, clock: Clock
) -> None:
    """A confirmation that was accepted is not called done before it is seen to have taken effect,
    and is sent once until then."""
    store.letters.add([stored_letter("a", marks={MarkKind.CONFIRMED: Policy.STORED})])
    assert (tell(), tell()) == (0, 0)
    assert (the_mark(store).state, the_mark(store).done_at, store.marks.outstanding()) == (
        MarkState.TOLD,
        None,
        0,
    )
    assert mailbox.calls == [("confirm", "a")]
    clock.now = the_mark(store).due_at
    tell()
    assert mailbox.calls == [("confirm", "a"), ("confirmed", "a")]
    assert the_mark(store).state is MarkState.DONE


def test_a_confirmation_that_was_lost_is_told_again(
    tell: Tell, store: Store, mailbox: MemoryMailbox, clock: Clock
) -> None:
    """If the other side accepted a confirmation and lost it, it is told again, until it is seen to
    have taken effect."""
    store.letters.add([stored_letter("a", marks={MarkKind.CONFIRMED: Policy.STORED})])
    for _ in range(3):
        tell()
        mailbox.told_confirmed.clear()
        clock.now = the_mark(store).due_at
    assert (the_mark(store).state, mailbox.asked("confirm")) == (MarkState.TOLD, ["a"] * 3)
    tell()
    clock.now = the_mark(store).due_at
    tell()
    assert (the_mark(store).state, mailbox.asked("confirm")) == (MarkState.DONE, ["a"] * 4)


def test_a_look_that_fails_is_repeated(
    tell: Tell, store: Store, mailbox: MemoryMailbox, clock: Clock
) -> None:
    """If it cannot be seen whether a confirmation took effect, the look is repeated, and not the
    confirmation."""
    store.letters.add([stored_letter("a", marks={MarkKind.CONFIRMED: Policy.STORED})])
    tell()
    mailbox.fails["confirmed", "a"] = iter([MailboxUnavailable("Altinn does not answer")])
    clock.now = the_mark(store).due_at
    assert (tell(), the_mark(store).state) == (1, MarkState.TOLD)
    clock.now = the_mark(store).due_at
    assert (tell(), the_mark(store).state, mailbox.asked("confirm")) == (0, MarkState.DONE, ["a"])


@pytest.mark.parametrize(
    "error", [MailboxUnavailable("Altinn does not answer"), AccessRefused("no right")]
)
def test_a_failure_defers(
    tell: Tell, store: Store, mailbox: MemoryMailbox, clock: Clock, error: MailboxError
) -> None:
    """What cannot be told now is counted, noted and told later; other senders are told
    meanwhile."""
    store.letters.add([stored_letter(name, marks={MarkKind.READ: Policy.STORED}) for name in "ab"])
    mailbox.fails["mark_read", "a"] = iter([error])
    assert tell() == 1
    assert mailbox.told_read == ["b"]
    mark = the_mark(store)
    assert (mark.state, mark.last_error, mark.attempts) == (MarkState.DUE, str(error), 1)
    assert mark.due_at > clock()
    assert (tell(), mailbox.told_read) == (0, ["b"])
    clock.now = mark.due_at
    assert (tell(), mailbox.told_read) == (0, ["b", "a"])
    assert (the_mark(store).state, the_mark(store).last_error) == (MarkState.DONE, None)


def test_a_letter_that_is_gone_counts_as_told(
    tell: Tell, store: Store, mailbox: MemoryMailbox
) -> None:
    """A letter that its sender has removed since needs no mark, and is asked about once."""
    store.letters.add([stored_letter("a", marks={MarkKind.READ: Policy.STORED})])
    mailbox.fails["mark_read", "a"] = repeat(LetterGone("removed"))
    assert (tell(), tell()) == (0, 0)
    assert (the_mark(store).state, mailbox.asked("mark_read")) == (MarkState.DONE, ["a"])


def test_a_fault_of_the_connector_concerns_one_mark(
    tell: Tell, store: Store, mailbox: MemoryMailbox
) -> None:
    """A mark that the connector stumbles over is deferred like one that fails; the others are
    set."""
    store.letters.add([stored_letter(name, marks={MarkKind.READ: Policy.STORED}) for name in "ab"])
    mailbox.fails["mark_read", "a"] = iter([KeyError("status")])
    assert (tell(), mailbox.told_read) == (1, ["b"])


def test_many_marks(tell: Tell, store: Store, mailbox: MemoryMailbox) -> None:
    """All marks that are due are set in one go, however many they are."""
    store.letters.add(
        [stored_letter(str(number), marks={MarkKind.READ: Policy.STORED}) for number in range(150)]
    )
    assert (tell(), len(set(mailbox.told_read)), len(mailbox.told_read)) == (0, 150, 150)


def test_stopping(
    tell: Tell, store: Store, mailbox: MemoryMailbox, stopping: threading.Event
) -> None:
    """When asked to stop, the mark under way is set and recorded, and the rest stays due without
    being called a failure."""
    store.letters.add(
        [stored_letter(str(number), marks={MarkKind.READ: Policy.STORED}) for number in range(5)]
    )
    mailbox.during = lambda *_: stopping.set()
    assert (tell(), len(mailbox.told_read), store.marks.outstanding()) == (0, 1, 4)


def test_each_mailbox_is_told_of_its_own_letters(
    tell: Tell, store: Store, mailbox: MemoryMailbox
) -> None:
    """A mailbox hears nothing of another mailbox's letters."""
    store.letters.add([stored_letter("a", marks={MarkKind.READ: Policy.STORED}, mailbox="other")])
    assert (tell(), mailbox.calls) == (0, [])


def test_nobody_is_confirmed_to_who_did_not_ask(
    tell: Tell, store: Store, mailbox: MemoryMailbox
) -> None:
    """A mark of before, for a letter whose sender asked for no confirmation, is dropped at its
    turn, and Read is told all the same."""
    both = {MarkKind.READ: Policy.STORED, MarkKind.CONFIRMED: Policy.STORED}
    store.letters.add(
        [stored_letter("a", marks=both, confirmation_needed=False), stored_letter("b", marks=both)]
    )
    assert (tell(), sorted(mailbox.told_read), mailbox.told_confirmed) == (0, ["a", "b"], ["b"])
    (dropped,) = [
        mark
        for mark in store.queries.marks(message_id("altinn", "a"))
        if mark.kind is MarkKind.CONFIRMED
    ]
    assert (dropped.state, dropped.done_at, dropped.last_error) == (
        MarkState.DONE,
        None,
        "the sender asked for no confirmation",
    )


def test_a_refused_mark_backs_off(
    tell: Tell, store: Store, mailbox: MemoryMailbox, clock: Clock
) -> None:
    """A mark that is refused for a month is tried ever more seldom, up to once a day and apart from
    others, and never given up."""
    store.letters.add([stored_letter(name, marks={MarkKind.READ: Policy.STORED}) for name in "abc"])
    for name in "abc":
        mailbox.fails["mark_read", name] = repeat(AccessRefused("no right"))
    waits = []
    while clock.now < NOW + timedelta(days=30):
        tell()
        due = [the_mark(store, name).due_at for name in "abc"]
        waits.append(min(due) - clock.now)
        clock.now = max(due)
    assert len(set(due)) == len(due), "they failed together, and are tried apart"
    assert waits[0] >= timedelta(minutes=1)
    assert timedelta(days=1) <= waits[-1] <= timedelta(days=1.2)
    assert len(waits) < 45  # a doubling from a minute to a day, and a try a day
    assert store.marks.refused() == {"altinn": (3, NOW)}
    mailbox.fails.clear()
    assert (tell(), store.marks.refused()) == (0, {})


def test_a_confirmation_that_is_lost_for_ever_backs_off(
    tell: Tell, store: Store, mailbox: MemoryMailbox, clock: Clock
) -> None:
    """If the other side accepts a confirmation and loses it each time, it is told ever more seldom,
    and that is shown."""
    store.letters.add([stored_letter("a", marks={MarkKind.CONFIRMED: Policy.STORED})])
    while clock.now < NOW + timedelta(days=3):
        tell()
        mailbox.told_confirmed.clear()
        clock.now = the_mark(store).due_at
    assert len(mailbox.asked("confirm")) < 20  # and not one each 30 seconds
    assert store.marks.refused()["altinn"][0] == 1


@pytest.mark.parametrize("state", PartState)
@pytest.mark.parametrize("kind", MarkKind)
def test_a_letter_whose_parts_may_still_come_is_not_told(
    tell: Tell, store: Store, mailbox: MemoryMailbox, clock: Clock, state: PartState, kind: MarkKind
) -> None:
    """While an attachment may still come the sender hears nothing; once nothing more can come, or
    an operator accepts that, it does."""
    letter = stored_letter("a", marks={kind: Policy.STORED})
    letter.attachments[0].state = state
    store.letters.add([letter])
    tell()
    may_come = state in {PartState.CHECKSUM_FAILED, PartState.UNAVAILABLE}
    assert bool(mailbox.calls) is not may_come
    if may_come:
        assert "messages refetch" in str(the_mark(store).last_error)
        store.attachments.accept(letter.message.id, clock())
        store.marks.due_now(letter.message.id, clock())
        tell()
        assert mailbox.calls
