"""Letters that nobody acknowledges, and people who cannot be told, are problems that are shown."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat

import pytest

from daemon.core.errors import TemporaryFailure
from daemon.monitoring.acknowledging import of_people
from daemon.store import Store
from tests.unit.alerting import WakeEvent
from tests.unit.conftest import NOW, Clock, stored_letter
from tests.unit.reminding import Desk, awaited, waiting_letter

pytestmark = pytest.mark.both_databases


@pytest.fixture(name="desk")
def a_desk(store: Store, clock: Clock) -> Desk:
    """A letter that somebody has to acknowledge within two days."""
    store.letters.add([waiting_letter()])
    return Desk(store, clock, WakeEvent("mail"))


def shown(desk: Desk) -> list[tuple[str, str, int, bool]]:
    found = of_people(desk.store, desk.clock())
    return [(each.kind, each.about, each.count, each.critical) for each in found]


def test_an_overdue_letter_is_a_problem_of_its_recipient(desk: Desk) -> None:
    """From its time on, and not before."""
    assert shown(desk) == []
    desk.look(days=2)
    assert shown(desk) == [("overdue", "post", 1, False)]


def test_an_overdue_letter_without_a_recipient_is_a_problem(desk: Desk) -> None:
    """Its route names destinations only, so it is counted under no recipient's name."""
    letter = stored_letter("b")
    desk.store.letters.add([replace(letter, awaited=awaited(letter.message.id, NOW, ()))])
    desk.look(days=2)
    assert shown(desk) == [("overdue", "", 1, False), ("overdue", "post", 1, False)]


def test_a_mail_server_that_stays_down_is_critical(desk: Desk) -> None:
    """After a quarter of an hour somebody is notified that nobody can be."""
    desk.mail.deaf = repeat(TemporaryFailure("the server is down"))
    desk.look(days=2)
    assert ("unreminded", "", 2, False) in shown(desk)
    desk.clock.advance(minutes=16)
    assert ("unreminded", "", 2, True) in shown(desk)
    desk.mail.deaf = iter(())
    desk.look(days=0.1)
    assert shown(desk) == [("overdue", "post", 1, False)]
