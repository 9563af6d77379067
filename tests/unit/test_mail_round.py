"""All mails to people go by one round: its failures, and the language of each person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from daemon.core.deadlines import end_of_day
from daemon.core.errors import TemporaryFailure
from daemon.store import Store
from daemon.store.users import Actor
from tests.unit.alerting import WakeEvent
from tests.unit.conftest import NOW, Clock
from tests.unit.reminding import Desk, waiting_letter

DUE = end_of_day(date(2026, 12, 23))
WARNED = datetime(2026, 12, 16, 6, 0, tzinfo=UTC)


@pytest.fixture(name="desk")
def new_desk(store: Store, clock: Clock) -> Desk:
    """A recipient with thirty members, who have a digest at seven in the morning."""
    desk = Desk(store, clock, WakeEvent("mail"))
    members = ", ".join(f'"person{number}@example.no"' for number in range(30))
    desk.text = desk.text.replace(
        'members = ["kari@example.no"]', f'members = [{members}]\ndigest = "07:00"', 1
    )
    return desk


def _forgotten(desk: Desk, count: int) -> None:
    """Letters that nobody has acknowledged, and that are due."""
    letters = [waiting_letter(str(number), published_at=NOW) for number in range(count)]
    for each in letters:
        each.message.due_at = DUE
    desk.store.letters.add(letters)
    desk.clock.now = WARNED


def test_a_dead_server_is_asked_three_times_a_look(desk: Desk) -> None:
    """Warnings, digests and reminders wait for the next look together, and none is lost."""
    _forgotten(desk, 1)
    asked: list[datetime] = []

    def failing() -> Iterator[Exception]:
        while True:
            asked.append(desk.clock.now)
            yield TemporaryFailure("the server is down")

    desk.mail.deaf = failing()
    assert desk.look() == 0
    assert len(asked) == 3
    desk.mail.deaf = iter(())
    for _ in range(8):
        desk.look(days=0.1)
    kinds = [each.kind for each in desk.mail.told]
    assert [kinds.count(kind) for kind in ("deadline", "digest")] == [30, 30]
    assert kinds.count("reminder") >= 31  # the deputy's member too


def test_a_mail_says_all_that_was_planned_for_it(desk: Desk) -> None:
    """However many warnings are due at once, none is recorded as told without being said."""
    _forgotten(desk, 30)
    desk.look()
    warnings = [each for each in desk.mail.told if each.kind == "deadline"]
    assert len(warnings) == 30
    assert {each.subject for each in warnings} == {"Postmottak: 30 frister nærmer seg"}


def test_each_kind_of_mail_is_in_the_persons_language(desk: Desk) -> None:
    """A user's own language; people who are no users get the configured one."""
    desk.store.users.add("person1@example.no", NOW, Actor(name="kari"), language="en")
    _forgotten(desk, 1)
    desk.look(days=0)
    subjects = {
        address: {each.kind: each.subject for each in desk.mail.told if each.to == (address,)}
        for address in ("person0@example.no", "person1@example.no")
    }
    assert subjects == {
        "person0@example.no": {
            "deadline": "Postmottak: en frist nærmer seg",
            "digest": "Postmottak: et brev venter på deg",
            "reminder": "Postmottak: et brev venter på at noen kvitterer",
        },
        "person1@example.no": {
            "deadline": "Postmottak: a deadline is near",
            "digest": "Postmottak: a letter waits for you",
            "reminder": "Postmottak: a letter waits for somebody to acknowledge it",
        },
    }
