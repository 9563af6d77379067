"""People are told of letters that nobody has acknowledged: each step once, and never early."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from itertools import repeat
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from daemon.core.errors import TemporaryFailure
from daemon.core.model import Mark, MarkKind, MarkState, Policy
from daemon.core.signed_links import reminder_of
from daemon.delivery.marks import MarkSender
from daemon.store import Store
from daemon.store.users import Actor
from tests.unit.alerting import WakeEvent
from tests.unit.conftest import NOW, Clock, stored_letter
from tests.unit.memory import MemoryMailbox
from tests.unit.reminding import Desk, waiting_letter

pytestmark = pytest.mark.both_databases

KARI = Actor(name="kari")
DEPUTY = [("kari@example.no",), ("ola@example.no",)]


@pytest.fixture(name="desk")
def a_desk(store: Store, clock: Clock) -> Desk:
    """Nobody has been told of anything."""
    return Desk(store, clock, WakeEvent("mail"))


def test_each_step_is_told_once_however_often_it_is_looked_at(desk: Desk) -> None:
    """Members and deputy after two working days, then the manager, then the last resort."""
    desk.store.letters.add([waiting_letter()])
    assert desk.look() == 0
    assert desk.look(days=1.99) == 0
    assert desk.look(days=0.01) == 2
    assert sorted(desk.told()) == DEPUTY
    assert [desk.look(days=1), desk.look(days=1), desk.look(days=1)] == [0, 0, 0]
    assert desk.look(days=1) == 1
    assert desk.told()[2:] == [("leder@example.no",)]
    assert desk.look(days=2) == 1
    assert desk.told()[3:] == [("sist@example.no",)]
    assert [desk.look(days=each) for each in (1, 10, 100)] == [0, 0, 0]


def test_an_acknowledgement_stops_the_ladder(desk: Desk) -> None:
    """Whoever was still to be told is not, not even by a mail that could not be sent."""
    letter = waiting_letter()
    desk.store.letters.add([letter])
    desk.mail.deaf = repeat(TemporaryFailure("the server is down"))
    assert desk.look(days=2) == 0
    desk.mail.deaf = iter(())
    desk.store.acknowledgements.acknowledge(letter.message.id, "kari", desk.clock(), KARI)
    assert [desk.look(days=each) for each in (1, 10, 100)] == [0, 0, 0]
    assert not desk.mail.told
    assert not desk.store.awaited.is_any()


def test_a_mail_says_nothing_of_what_was_answered_meanwhile(desk: Desk) -> None:
    """Nor is anybody recorded as told of that letter."""
    answered, other = waiting_letter("a"), waiting_letter("b")
    desk.store.letters.add([answered, other])
    desk.mail.deaf = repeat(TemporaryFailure("the server is down"))
    desk.look(days=2)
    desk.mail.deaf = iter(())
    desk.store.acknowledgements.acknowledge(answered.message.id, "kari", desk.clock(), KARI)
    assert desk.look(days=0.1) == 2
    for letter, is_told in ((answered, False), (other, True)):
        found = desk.store.awaited.reminders(letter.message.id)
        assert [each.try_at for each in found] == [None, None]
        assert [each.told_at is not None for each in found] == [is_told, is_told]


def test_a_rejected_letter_goes_on_to_others(desk: Desk) -> None:
    """Those who keep the table are told at once, and its members are not reminded of it."""
    desk.store.users.add("ruth@example.no", NOW, KARI, grants=())
    letter = waiting_letter()
    desk.store.letters.add([letter])
    desk.store.acknowledgements.reject(letter.message.id, "kari", desk.clock(), KARI, "ikke vår")
    assert desk.look() == 1
    assert desk.told() == [("sist@example.no",)]
    assert desk.look(days=30) == 0


def test_a_server_that_is_down_loses_and_repeats_nothing(desk: Desk) -> None:
    """It is tried again, less and less often, is shown, and each person gets one mail."""
    desk.store.letters.add([waiting_letter()])
    desk.mail.deaf = iter([TemporaryFailure("the server is down")] * 3)
    assert desk.look(days=2) == 0
    assert desk.store.awaited.failing() == (2, desk.clock(), "the server is down")
    assert desk.look() == 0
    assert desk.look(days=0.01) == 1
    assert desk.look(days=0.1) == 1
    assert sorted(desk.told()) == DEPUTY
    assert desk.store.awaited.failing() == (0, None, "")


def test_one_refused_address_does_not_keep_others_from_being_told(desk: Desk) -> None:
    """Its mail waits, the next is sent."""
    desk.store.letters.add([waiting_letter()])
    desk.mail.deaf = iter([TemporaryFailure("refused")])
    assert desk.look(days=2) == 1


def test_several_letters_are_one_mail_for_each_person(desk: Desk) -> None:
    """A hundred forgotten letters are no hundred mails; the letters are named in it."""
    desk.store.letters.add([waiting_letter(str(number)) for number in range(100)])
    assert desk.look(days=2) == 2
    assert "100 brev" in desk.mail.told[0].subject


def test_a_confidential_letter_is_not_described(desk: Desk) -> None:
    """Neither its title nor its sender is in the mail, nor in its subject."""
    desk.store.letters.add(
        [waiting_letter("a", title="Hemmelig", sender_name="Barnevernet", confidential=True)]
    )
    desk.look(days=2)
    text = desk.mail.told[0].subject + desk.mail.told[0].text
    assert "Hemmelig" not in text
    assert "Barnevernet" not in text
    assert "Taushetsbelagt brev" in text


def test_without_a_mail_server_the_problem_is_shown(desk: Desk) -> None:
    """The step stays due, and what is missing is named."""
    desk.with_mail = False
    desk.store.letters.add([waiting_letter()])
    assert desk.look(days=2) == 0
    assert "smtp" in desk.store.awaited.failing()[2]
    desk.with_mail = True
    assert desk.look(days=0.1) == 2


def test_nothing_is_decided_while_the_clock_is_in_doubt(desk: Desk) -> None:
    """A clock that has jumped ahead tells nobody; when it is right again, nothing is skipped."""
    desk.store.letters.add([waiting_letter()])
    desk.doubts["wrong"] = "ten days ahead"
    assert desk.look(days=10) == 0
    desk.clock.advance(days=-10)
    desk.doubts.clear()
    assert desk.look() == 0
    assert desk.look(days=2) == 2
    assert sorted(desk.told()) == DEPUTY


@pytest.mark.parametrize("days", [-40, 40])
def test_a_clock_that_was_set_and_is_corrected_skips_nothing(desk: Desk, days: int) -> None:
    """A letter from the wrong time waits from the correction on, and its step comes."""
    wrong = NOW + timedelta(days=days)
    desk.store.letters.add([waiting_letter("a", wrong)])
    desk.store.stamps.put_right(
        wrong - timedelta(hours=1), wrong + timedelta(hours=1), NOW, certain=True
    )
    assert desk.look() == 0
    assert desk.look(days=1.9) == 0
    assert desk.look(days=0.1) == 2


def test_an_installation_without_the_key_reads_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first look at a table that asks nobody, the store is left alone."""
    desk.text = desk.text.replace('acknowledge_within = "2wd"\n', "")
    desk.store.letters.add([stored_letter()])
    sender = desk.sender()
    assert sender.look() == 0
    monkeypatch.setattr(type(desk.store.awaited), "_database", None, raising=False)
    monkeypatch.setattr(desk.store, "awaited", None)
    assert sender.look() == 0


def test_with_a_page_each_letter_has_its_link(desk: Desk) -> None:
    """The link names the letter to the page, is the same in a repeat, and a confidential letter has
    one that takes a log-in."""
    desk.public_url = "https://post.example.no"
    letters = [waiting_letter("a"), waiting_letter("b", confidential=True)]
    desk.store.letters.add(letters)
    desk.look(days=2)
    links = re.findall(r"https://post.example.no/\S+", desk.mail.told[0].text)
    assert sorted(link.split("/")[3] for link in links) == ["acknowledge", "letters"]
    key = desk.store.link_keys.find()
    assert key
    (token,) = [link.rpartition("/")[2] for link in links if "/acknowledge/" in link]
    reminder = desk.store.awaited.reminder(reminder_of(token, key) or UUID(int=0))
    assert reminder
    assert reminder.message_id == letters[0].message.id
    assert (reminder.address,) == desk.mail.told[0].to


def test_counts_by_recipient(desk: Desk) -> None:
    """How many wait, and how many longer than they may."""
    desk.store.letters.add([waiting_letter("a"), waiting_letter("b", NOW + timedelta(days=1))])
    assert desk.store.awaited.counts(NOW + timedelta(days=2)) == {"post": (2, 1)}


@pytest.mark.about_sqlite("the plan of a query")
def test_letters_that_wait_are_found_by_the_index(desk: Desk) -> None:
    """Alerts and metrics count them often; those that were answered, in time nearly all, are not
    read for it."""
    database = desk.store.awaited._database  # only its statements
    seen: list[tuple[str, Any]] = []
    with database.read_one() as connection:
        event.listen(
            connection.engine,
            "before_cursor_execute",
            lambda _c, _k, statement, parameters, *_: seen.append((statement, parameters)),
        )
    desk.store.awaited.counts(NOW)
    desk.store.digests.unacknowledged()
    desk.store.handovers.waiting(["post"])
    desk.store.awaited.is_any()
    statements = [each for each in seen if "FROM awaited" in each[0]]
    assert statements
    with database.read_one() as connection:
        for statement, parameters in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            assert "ix_awaited_look_at" in str(plan), statement


@pytest.mark.parametrize("kind", MarkKind)
def test_the_sender_sees_nothing_before_a_person_has_acknowledged(
    store: Store, clock: Clock, stopping: threading.Event, kind: MarkKind
) -> None:
    """With the policy `acknowledged`, the mark waits for a person, and is then set once."""
    mailbox = MemoryMailbox()
    letter = stored_letter("a", marks={kind: Policy.ACKNOWLEDGED})
    store.letters.add([letter])
    tell = MarkSender(store=store, clock=clock)
    store.marks.due_now(letter.message.id, clock())
    tell.send_due(mailbox, stopping)
    store.acknowledgements.reject(letter.message.id, "kari", clock(), KARI, "nei")
    tell.send_due(mailbox, stopping)
    assert not mailbox.told_read + mailbox.told_confirmed
    store.acknowledgements.acknowledge(letter.message.id, "kari", clock(), KARI)
    (mark,) = store.queries.marks(letter.message.id)
    assert mark.state is MarkState.DUE
    mailbox.fails["mark_read" if kind is MarkKind.READ else "confirm", "a"] = iter(
        [TemporaryFailure("down")]
    )
    tell.send_due(mailbox, stopping)
    assert _mark(store, letter.message.id).state is MarkState.DUE
    clock.advance(days=1)
    tell.send_due(mailbox, stopping)
    assert mailbox.told_read + mailbox.told_confirmed == ["a"]


def _mark(store: Store, message: object) -> Mark:
    (mark,) = store.queries.marks(message)  # type: ignore[arg-type]
    return mark
