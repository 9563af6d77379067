"""Members are told at a time of day what waits for them: once each day, and only if it does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import repeat
from typing import Any
from uuid import UUID

import pytest

from daemon.core.errors import TemporaryFailure
from daemon.core.time_of_day import at_time_of_day
from daemon.monitoring.acknowledging import of_people
from daemon.monitoring.problems import find_all
from daemon.store import Store
from daemon.store.users import Actor
from tests.unit.alerting import WakeEvent
from tests.unit.conftest import NOW, Clock, stored_letter
from tests.unit.reminding import TABLE_TEXT, Desk, waiting_letter
from tests.unit.test_deadlines import delete_all

KARI = Actor(name="kari")
TEXT = TABLE_TEXT.replace('acknowledge_within = "2wd"', 'digest = "07:30"')
MONDAY = datetime(2027, 1, 11, 6, 30, tzinfo=UTC)  # at half past seven in Norway
MINUTE = timedelta(minutes=1)


@pytest.fixture(name="desk")
def a_desk(store: Store, clock: Clock) -> Desk:
    """Nobody has been told of anything."""
    return Desk(store, clock, WakeEvent("mail"), text=TEXT)


def at(desk: Desk, moment: datetime) -> int:
    """Look at a time, as a service that was just started."""
    desk.clock.now = moment
    return desk.look()


def waiting(desk: Desk, name: str = "a", **more: Any) -> UUID:
    """A letter that nobody is reminded of while these tests last."""
    letter = waiting_letter(name, MONDAY, **more)
    desk.store.letters.add([letter])
    return letter.message.id


def due(desk: Desk, name: str, due_at: datetime) -> UUID:
    """A letter with a deadline, which need not be acknowledged."""
    letter = stored_letter(name, published_at=NOW)
    letter.message.due_at = due_at
    desk.store.letters.add([letter])
    return letter.message.id


@pytest.mark.both_databases
def test_once_each_working_day_at_its_time(desk: Desk) -> None:
    """Neither before nor again after a restart, late after a standstill, not on a day off, and each
    day under an id of its own."""
    waiting(desk)
    assert at(desk, MONDAY - MINUTE) == 0
    assert at(desk, MONDAY) == 1
    for hours in (0.1, 5, -1, 0):
        assert at(desk, MONDAY + timedelta(hours=hours)) == 0
    assert at(desk, MONDAY + timedelta(days=1, hours=9)) == 1
    first, second = desk.mail.told
    assert (first.to, first.kind) == (("kari@example.no",), "digest")
    assert first.subject == "Postmottak: et brev venter på deg"
    assert "ingen har kvittert" in first.text
    assert first.id != second.id


@pytest.mark.both_databases
def test_not_on_a_day_off(desk: Desk) -> None:
    """On Saturday, Sunday and 17 May nobody is written to."""
    waiting(desk)
    for day in (date(2027, 1, 9), date(2027, 1, 10), date(2027, 5, 17)):
        at(desk, at_time_of_day(day, "09:00"))
    assert "digest" not in {each.kind for each in desk.mail.told}


@pytest.mark.both_databases
def test_nothing_if_nothing_waits(desk: Desk) -> None:
    """No mail, and what comes later that day is the next day's."""
    assert at(desk, MONDAY) == 0
    waiting(desk)
    assert at(desk, MONDAY + timedelta(hours=3)) == 0
    assert at(desk, MONDAY + timedelta(days=1)) == 1


@pytest.mark.both_databases
def test_what_is_in_it(desk: Desk) -> None:
    """Letters that nobody has acknowledged, and open deadlines, past ones too; not what is done,
    nor a sending system's own date, nor a rejected letter."""
    waiting(desk, "a", title="Ubesvart")
    store = desk.store
    done, dropped = due(desk, "b", MONDAY + timedelta(days=2)), due(desk, "c", MONDAY)
    store.acknowledgements.acknowledge(done, "kari@example.no", NOW, KARI)
    store.deadlines.handle(done, "kari", NOW, KARI)
    store.deadlines.drop(dropped, "kari", NOW, KARI)
    due(desk, "d", NOW + timedelta(days=7))  # as a sending system writes it
    due(desk, "e", MONDAY - timedelta(days=2))
    due(desk, "f", MONDAY + timedelta(days=3))
    rejected = waiting(desk, "g")
    store.acknowledgements.reject(rejected, "kari", MONDAY, KARI, "ikke vår")
    at(desk, MONDAY)
    (mail,) = [each for each in desk.mail.told if each.kind == "digest"]
    assert "3 brev venter på deg" in mail.text
    assert "fristen gikk ut 09.01.2027" in mail.text
    assert ", frist 14.01.2027\n" in mail.text
    assert mail.text.index("09.01.2027") < mail.text.index("14.01.2027") < mail.text.index("Ubesv")


def test_who_has_acknowledged_a_letter_has_its_deadline(desk: Desk) -> None:
    """The others of the recipient are not told of it."""
    key = due(desk, "a", MONDAY + timedelta(days=2))
    desk.store.acknowledgements.acknowledge(key, "eva@example.no", NOW, KARI)
    at(desk, MONDAY)
    (mail,) = [each for each in desk.mail.told if each.kind == "digest"]
    assert mail.to == ("eva@example.no",)


def test_a_confidential_letter_has_no_words(desk: Desk) -> None:
    """Neither its title nor its sender."""
    waiting(desk, "a", title="Hemmelig", sender_name="Barnevernet", confidential=True)
    at(desk, MONDAY)
    (mail,) = desk.mail.told
    assert "Taushetsbelagt brev" in mail.text
    assert "Hemmelig" not in mail.text + mail.subject
    assert "Barnevernet" not in mail.text + mail.subject


def test_covers_are_followed(desk: Desk) -> None:
    """While a recipient is away, its letters are in the mail of who covers for it."""
    waiting(desk)
    desk.text += (
        '[[delegation]]\nfrom = "post"\nto = "okonomi"\nstarts = 2027-01-11\nends = 2027-01-11\n'
    )
    at(desk, MONDAY)
    at(desk, MONDAY + timedelta(days=1))
    assert desk.told() == [("ola@example.no",), ("kari@example.no",)]


def test_in_the_language_of_the_user_and_not_to_who_left(desk: Desk) -> None:
    """A user's own language; a user who is disabled, also since it was planned, is left out."""
    desk.text = desk.text.replace('["kari@example.no"]', '["kari@example.no", "eva@example.no"]')
    desk.store.users.add("kari@example.no", NOW, KARI, language="en")
    desk.store.users.add("eva@example.no", NOW, KARI)
    waiting(desk)
    desk.mail.deaf = iter([TemporaryFailure("down")] * 2)
    assert at(desk, MONDAY) == 0
    assert len(desk.store.digests.due(MONDAY + timedelta(hours=2))) == 2
    desk.store.users.disable("eva@example.no", NOW, KARI)
    at(desk, MONDAY + timedelta(hours=2))
    (mail,) = desk.mail.told
    assert (mail.to, mail.subject) == (
        ("kari@example.no",),
        "Postmottak: a letter waits for you",
    )


def test_a_server_that_is_down(desk: Desk) -> None:
    """It is tried again under the same id, is shown as a problem, and what was done meanwhile is no
    longer said; the next day's mail takes its place."""
    first, _ = waiting(desk, "a"), waiting(desk, "b")
    desk.mail.deaf = repeat(TemporaryFailure("the server is down"))
    assert at(desk, MONDAY) == 0
    (planned,) = desk.store.digests.due(MONDAY + timedelta(hours=1))
    assert desk.store.digests.failing(MONDAY) == (1, MONDAY, "the server is down")
    desk.mail.deaf = iter(())
    desk.store.acknowledgements.acknowledge(first, "kari", MONDAY, KARI)
    assert at(desk, MONDAY + timedelta(hours=1)) == 1
    (mail,) = desk.mail.told
    assert mail.id == planned.id
    assert "et brev venter" in mail.subject
    assert desk.store.digests.failing(MONDAY) == (0, None, "")
    desk.mail.deaf = repeat(TemporaryFailure("the server is down"))
    assert at(desk, MONDAY + timedelta(days=1)) == 0
    desk.mail.deaf = iter(())
    at(desk, MONDAY + timedelta(days=2))
    digests = [each for each in desk.mail.told if each.kind == "digest"]
    assert len(digests) == 2


def test_who_has_no_digest_any_more_is_no_problem_the_day_after(desk: Desk) -> None:
    """A mail that failed before the table was changed has nothing more to say then."""
    due(desk, "a", MONDAY + timedelta(days=20))
    desk.mail.deaf = repeat(TemporaryFailure("the server is down"))
    at(desk, MONDAY)
    desk.text = desk.text.replace("digest", "# digest")
    day = timedelta(days=1)
    at(desk, MONDAY + day)
    shown = [[each.about for each in of_people(desk.store, now)] for now in (MONDAY, MONDAY + day)]
    assert shown == [["digests"], []]


def test_without_a_mail_server_it_comes_once_there_is_one(desk: Desk) -> None:
    """The same day; and many letters are one mail."""
    for number in range(60):
        waiting(desk, str(number))
    desk.with_mail = False
    assert at(desk, MONDAY) == 0
    desk.with_mail = True
    assert at(desk, MONDAY + timedelta(hours=1)) == 1
    assert "Og 10 til." in desk.mail.told[0].text


@pytest.mark.parametrize("text", [TEXT, TABLE_TEXT, "recipient = 3", "[["])
@pytest.mark.parametrize("with_mail", [False, True])
def test_without_a_mail_server_the_problem_is_shown(
    desk: Desk, text: str, *, with_mail: bool
) -> None:
    """A table that has digests says so to no avail where no destination mails people."""
    desk.with_mail = with_mail
    desk.store.letters.note_table("v", text, desk.clock() + MINUTE)
    found = find_all(desk.configuration, desk.store, desk.clock(), of_service=[])
    about = [each.about for each in found if each.kind == "unreminded"]
    assert about == ["smtp"] * (text == TEXT and not with_mail)


def test_a_clock_that_was_ahead_skips_no_day(desk: Desk) -> None:
    """What was sent for a day that had not come is no reason to leave that day out, and its mail is
    recognised as the same."""
    waiting(desk)
    ahead = MONDAY + timedelta(days=1)
    assert at(desk, ahead) == 1
    desk.store.stamps.put_right(ahead - MINUTE, ahead + MINUTE, MONDAY - MINUTE, certain=True)
    assert at(desk, MONDAY - MINUTE) == 0
    assert at(desk, MONDAY) == 1
    assert at(desk, ahead) == 1
    early, first, second = (each.id for each in desk.mail.told)
    assert early == second != first


@pytest.mark.parametrize("place", ["keep", "told"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_crash_repeats_it_under_the_same_id(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str, *, is_done: bool
) -> None:
    """Before it is stored nothing was sent; before it is recorded as sent, it comes twice."""
    waiting(desk)
    whole = getattr(type(desk.store.digests), place)

    def crash(*arguments: object) -> None:
        if is_done:
            whole(*arguments)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(type(desk.store.digests), place, crash)
        with pytest.raises(SystemExit):
            at(desk, MONDAY)
    at(desk, MONDAY + MINUTE)
    at(desk, MONDAY + MINUTE)
    assert len(desk.mail.told) == (2 if place == "told" and not is_done else 1)
    assert len({each.id for each in desk.mail.told}) == 1


def test_the_clock_changes_at_night() -> None:
    """A time that is left out is an hour later, one that comes twice is the first."""
    assert at_time_of_day(date(2027, 3, 28), "02:30") == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    assert at_time_of_day(date(2027, 10, 31), "02:30") == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
    assert at_time_of_day(date(2027, 7, 1), "07:30") == datetime(2027, 7, 1, 5, 30, tzinfo=UTC)


def test_old_ones_are_removed(desk: Desk) -> None:
    """After a month nothing is left of a digest; its letters can be deleted before it is sent."""
    key = waiting(desk)
    desk.mail.deaf = repeat(TemporaryFailure("down"))
    assert at(desk, MONDAY) == 0
    desk.mail.deaf = iter(())
    delete_all(desk.store, key)
    assert at(desk, MONDAY + timedelta(hours=2)) == 0
    assert not desk.store.digests.due(MONDAY + timedelta(days=1))
    at(desk, MONDAY + timedelta(days=32))
    assert desk.store.digests.planned(MONDAY.date()) == set()
