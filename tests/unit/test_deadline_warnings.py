"""People are warned of deadlines: each step once, in the morning of its day, and nothing more."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import repeat
from typing import Any
from uuid import UUID

import pytest

from daemon.core.deadlines import due_warning, end_of_day, warn_at
from daemon.core.errors import TemporaryFailure
from daemon.core.working_days import Term, term
from daemon.delivery.reminders import ReminderSender
from daemon.monitoring.acknowledging import of_people
from daemon.store import Store
from daemon.store.users import Actor
from tests.unit.alerting import WakeEvent
from tests.unit.conftest import NOW, Clock, stored_letter
from tests.unit.reminding import Desk
from tests.unit.test_deadlines import delete_all

pytestmark = pytest.mark.both_databases

STEPS = (term("5wd"), term("1wd"))
KARI = Actor(name="kari")
CHRISTMAS = end_of_day(date(2026, 12, 23))  # a Wednesday
FIVE_BEFORE = datetime(2026, 12, 16, 6, 0, tzinfo=UTC)  # at seven in Norway
ONE_BEFORE = datetime(2026, 12, 22, 6, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("due", "step", "expected"),
    [
        ("2026-12-23", "5wd", "2026-12-16T06:00"),
        ("2027-03-30", "1wd", "2027-03-24T06:00"),  # the Tuesday after Easter
        ("2027-03-30", "5wd", "2027-03-18T06:00"),
        ("2027-03-29", "1wd", "2027-03-23T06:00"),  # Easter Monday counts as the Wednesday before
        ("2027-05-18", "1wd", "2027-05-14T05:00"),  # the 17th is off, and it is summer time
        ("2027-03-30", "3d", "2027-03-27T06:00"),  # the day before the clocks change
        ("2027-03-31", "3d", "2027-03-28T05:00"),
    ],
)
def test_steps_are_taken_in_the_morning(due: str, step: str, expected: str) -> None:
    """Over weekends, holidays and a change of the clocks, at seven in Norway."""
    due_at = end_of_day(date.fromisoformat(due))
    assert warn_at(due_at, term(step)) == datetime.fromisoformat(f"{expected}+00:00")


def test_hours_are_counted_to_the_second() -> None:
    """A step in hours is so long before the deadline."""
    assert warn_at(CHRISTMAS, term("8h")) == CHRISTMAS - timedelta(hours=8)


def test_the_last_step_is_taken() -> None:
    """Before the first step there is none, a letter that came late skips those that are past, and
    after the deadline nobody is warned."""
    found = [
        due_warning(CHRISTMAS, STEPS, at)
        for at in (
            FIVE_BEFORE - MINUTE,
            FIVE_BEFORE,
            ONE_BEFORE - MINUTE,
            ONE_BEFORE,
            CHRISTMAS,
        )
    ]
    assert found == [None, Term(working_days=5), Term(working_days=5), Term(working_days=1), None]


class Office(Desk):
    """One service that goes on, where each look of the other is a new one."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock, WakeEvent("mail"))
        self.running: ReminderSender | None = None

    def at(self, moment: datetime) -> int:
        """Set the clock, and look as a service that was started before."""
        self.clock.now = moment
        self.running = self.running or self.sender()
        return self.running.look()

    def restart(self) -> None:
        self.running = None


@pytest.fixture(name="office")
def an_office(store: Store, clock: Clock) -> Office:
    """Nobody has been warned of anything."""
    return Office(store, clock)


def keep(store: Store, name: str = "a", due_at: datetime | None = CHRISTMAS, **more: Any) -> UUID:
    letter = stored_letter(name, published_at=NOW, **more)
    letter.message.due_at = due_at
    store.letters.add([letter])
    return letter.message.id


def test_each_step_once(office: Office) -> None:
    """The members are warned at each step, once, however often it is looked at and whenever the
    service is restarted, with the day, the source and no verdict on the law."""
    keep(office.store)
    assert office.at(FIVE_BEFORE - MINUTE) == 0
    assert office.at(FIVE_BEFORE + timedelta(minutes=20)) == 1
    for hours in (1, 2, 30):
        office.restart()
        assert office.at(FIVE_BEFORE + timedelta(hours=hours)) == 0
    assert office.at(ONE_BEFORE) == 1
    assert office.at(CHRISTMAS + MINUTE) == 0
    assert office.told() == [("kari@example.no",)] * 2
    first, second = office.mail.told
    assert first.id != second.id
    assert first.subject == "Postmottak: en frist nærmer seg"
    for said in ("Skatteetaten: ", "23.12.2026, arbeidsdager igjen: 5, satt av avsenderen"):
        assert said in first.text


def test_nobody_is_warned_of(office: Office) -> None:
    """A sending system's own date, one that a person dropped or that is done, and one without a
    person; a confirmed one is, whatever the sender wrote."""
    store, steps = office.store, FIVE_BEFORE + timedelta(hours=3)
    keep(store, "default", NOW + timedelta(days=7))
    dropped, done, moved = (keep(store, name) for name in ("dropped", "done", "moved"))
    store.deadlines.drop(dropped, "kari", NOW, KARI)
    store.acknowledgements.acknowledge(done, "kari", NOW, KARI)
    store.deadlines.handle(done, "kari", NOW, KARI)
    store.deadlines.confirm(moved, "kari", NOW, KARI, due_at=CHRISTMAS + timedelta(days=60))
    assert office.at(NOW + timedelta(days=6)) == 0
    assert office.at(steps) == 0
    confirmed = keep(store, "confirmed", None)
    store.deadlines.confirm(confirmed, "kari", NOW, KARI, due_at=CHRISTMAS)
    assert office.at(steps + timedelta(hours=1)) == 1
    office.text = office.text.replace('members = ["kari@example.no"]\n', "")
    office.restart()
    assert office.at(ONE_BEFORE) == 0


def test_who_has_it_is_warned(office: Office) -> None:
    """After somebody with an address has acknowledged the letter, that person is; others not."""
    key = keep(office.store)
    office.store.acknowledgements.acknowledge(key, "eva@example.no", NOW, KARI)
    office.at(FIVE_BEFORE)
    assert office.told() == [("eva@example.no",)]


def test_many_are_one_mail(office: Office) -> None:
    """A hundred deadlines are one mail for each person; a confidential one has no words."""
    for number in range(100):
        keep(office.store, str(number))
    keep(office.store, "x", title="Hemmelig", sender_name="Barnevern", confidential=True)
    assert office.at(FIVE_BEFORE) == 1
    (mail,) = office.mail.told
    assert mail.subject == "Postmottak: 101 frister nærmer seg"
    assert "Og 51 til." in mail.text
    assert "Hemmelig" not in mail.text
    assert "Barnevern" not in mail.text


def test_a_server_that_is_down(office: Office) -> None:
    """It is tried again under the same Message-ID, is shown, and what was done meanwhile is no
    longer said."""
    key = keep(office.store)
    office.mail.deaf = repeat(TemporaryFailure("the server is down"))
    assert office.at(FIVE_BEFORE) == 0
    (planned,) = office.store.deadline_warnings.due_mails(FIVE_BEFORE + timedelta(days=1))
    assert office.store.deadline_warnings.failing(FIVE_BEFORE)[0] == 1
    office.restart()
    office.mail.deaf = iter(())
    assert office.at(FIVE_BEFORE + timedelta(hours=2)) == 1
    assert [each.id for each in office.mail.told] == [planned.id]
    assert office.store.deadline_warnings.failing(FIVE_BEFORE) == (0, None, "")
    office.mail.deaf = repeat(TemporaryFailure("the server is down"))
    assert office.at(ONE_BEFORE) == 0
    office.store.deadlines.drop(key, "kari", NOW, KARI)
    office.mail.deaf = iter(())
    assert office.at(ONE_BEFORE + timedelta(hours=3)) == 0
    assert office.store.deadline_warnings.due_mails(CHRISTMAS) == []


def test_who_is_warned_no_more_is_no_problem_for_ever(office: Office) -> None:
    """A mail that failed before the table named nobody any more is a problem until the deadline."""
    keep(office.store)
    office.mail.deaf = repeat(TemporaryFailure("the server is down"))
    office.at(FIVE_BEFORE)
    office.text = re.sub("^(members|last_resort)", r"# \1", office.text, flags=re.MULTILINE)
    office.restart()
    office.at(ONE_BEFORE)
    assert [each.about for each in of_people(office.store, ONE_BEFORE)] == ["deadlines"]
    assert list(of_people(office.store, CHRISTMAS)) == []


def test_without_a_mail_server_nothing_is_left_out(office: Office) -> None:
    """What could not be sent, because no destination mails people, is sent once there is one."""
    keep(office.store)
    office.with_mail = False
    assert office.at(FIVE_BEFORE) == 0
    office.with_mail = True
    office.restart()
    assert office.at(FIVE_BEFORE + timedelta(hours=1)) == 1


def test_the_clock_goes_back_and_forth(office: Office) -> None:
    """Nobody is warned early while the clock is in doubt, nor again when it was set back."""
    keep(office.store)
    office.doubts = {"clock": "jumped"}
    assert office.at(FIVE_BEFORE) == 0
    office.doubts.clear()
    assert office.at(NOW) == 0
    assert office.at(FIVE_BEFORE) == 1
    for days in (-3, 0, -1, 1):
        assert office.at(FIVE_BEFORE + timedelta(days=days)) == 0


def test_a_clock_that_was_ahead_leaves_no_warning_out(office: Office) -> None:
    """Who was warned of a day that had not come is warned again when it comes, by the same mail."""
    keep(office.store)
    assert office.at(FIVE_BEFORE) == 1
    now = FIVE_BEFORE - timedelta(days=3)
    office.store.stamps.put_right(FIVE_BEFORE, FIVE_BEFORE, now, certain=True)
    assert [office.at(now), office.at(FIVE_BEFORE)] == [0, 1]
    early, again = office.mail.told
    assert early.id == again.id


@pytest.mark.parametrize("is_known", [False, True])
def test_a_mail_that_waits_for_a_wrong_time(office: Office, *, is_known: bool) -> None:
    """A warning that could not be sent while the clock was ahead is tried when it is right again,
    whether the service saw it being set back or not."""
    keep(office.store)
    office.mail.deaf = repeat(TemporaryFailure("the server is down"))
    office.at(FIVE_BEFORE)
    ahead = FIVE_BEFORE + timedelta(days=3)
    office.at(ahead)
    office.mail.deaf = iter(())
    now = FIVE_BEFORE + timedelta(hours=2)
    if is_known:
        office.store.stamps.put_right(ahead, ahead + timedelta(hours=1), now, certain=True)
    else:
        office.store.stamps.pull_back(now, timedelta(hours=1))
    assert office.at(now) == 1


def test_it_goes_with_the_letter(office: Office) -> None:
    """A letter that retention deletes takes its warnings along."""
    key = keep(office.store)
    office.at(FIVE_BEFORE)
    assert office.store.deadline_warnings.given([key])
    delete_all(office.store, key)
    assert office.store.deadline_warnings.given([key]) == set()


def test_a_mail_has_all_of_its_warnings(office: Office) -> None:
    """However many there are at once: those that a mail lacked would be recorded as given."""
    store = office.store
    letters = {keep(store, str(number)) for number in range(600)}
    office.mail.deaf = repeat(TemporaryFailure("the server is down"))
    office.at(FIVE_BEFORE)
    said: set[UUID] = set()
    while mails := store.deadline_warnings.due_mails(ONE_BEFORE):
        said.update(each.message_id for each in mails[0].warnings)
        store.deadline_warnings.told(mails[0].id, ONE_BEFORE)
    assert said == letters
