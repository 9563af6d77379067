"""The mail about a rejected letter says where others like it went, and only what is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from daemon.core.model import Message
from daemon.intake.proposing import proposed
from daemon.intake.rerouting import Rerouter
from daemon.store import Store
from daemon.store.users import Actor
from tests.unit.alerting import WakeEvent
from tests.unit.conftest import NOW, Clock, stored_letter
from tests.unit.reminding import Desk, waiting_letter

KARI = Actor(name="kari")
SENDER = "974760673"


@pytest.fixture(name="desk")
def a_desk(store: Store, clock: Clock) -> Desk:
    """Nobody has been told of anything."""
    desk = Desk(store, clock, WakeEvent("mail"))
    desk.text = desk.text.replace('name = "okonomi"', 'name = "okonomi"\ntitle = "Økonomi"')
    store.letters.note_table(desk.table.version, desk.text, NOW)
    return desk


def earlier(desk: Desk, name: str, to: str = "", **more: Any) -> UUID:
    """An earlier letter of the sender; with `to`, somebody moved it there."""
    letter = stored_letter(name, sender_org=SENDER, **more)
    desk.store.letters.add([letter])
    if to:
        move(desk, letter.message.id, to)
    return letter.message.id


def move(desk: Desk, key: UUID, to: str) -> None:
    Rerouter(store=desk.store, table=lambda: desk.table, clock=desk.clock).route(key, to)


def rejected(desk: Desk, **more: Any) -> str:
    """Reject a letter of the sender, and return the mail about it."""
    letter = waiting_letter("rejected", sender_org=SENDER, **more)
    desk.store.letters.add([letter])
    desk.store.acknowledgements.reject(letter.message.id, "kari", desk.clock(), KARI, "ikke vår")
    assert desk.look() == 1
    return desk.mail.told[0].text


def test_nothing_is_said_where_nothing_is_known(desk: Desk) -> None:
    """Neither if the sender has no other letter, nor if they went where this one is."""
    earlier(desk, "a")
    desk.store.letters.add([stored_letter("b", sender_org="991825827")])
    text = rejected(desk)
    assert "Mottakeren har avvist brevet" in text
    assert "Forslag" not in text
    assert "avsenderen" not in text


def test_a_proposal_is_named(desk: Desk) -> None:
    """Three equal letters that were moved are said, with how many there were."""
    for number in range(3):
        earlier(desk, str(number), "okonomi")
    assert "Forslag: Økonomi (okonomi). Dit er 3 slike brev flyttet.\n" in rejected(desk)


def test_a_dismissed_proposal_is_none(desk: Desk) -> None:
    """What was dismissed for good is not proposed by mail; where letters went stays a fact."""
    for number in range(3):
        earlier(desk, str(number), "okonomi")
    (found,) = proposed(desk.store, desk.table, NOW, tuple)
    desk.store.moves.dismiss(found.key, "kari", NOW)
    text = rejected(desk)
    assert "Forslag" not in text
    assert "Av de siste 3 brevene fra avsenderen gikk 3 til Økonomi (okonomi).\n" in text


def test_where_the_senders_letters_went(desk: Desk) -> None:
    """Of those of the last months, with how many there were; without the table's own, without
    older and confidential ones, and not to a recipient that is no more."""
    earlier(desk, "a", "okonomi")
    earlier(desk, "b")
    earlier(desk, "c", confidential=True)
    earlier(desk, "d", "sist")
    old = earlier(desk, "e", "okonomi")
    with desk.store.letters._database.write() as session:  # time has passed
        message = session.get(Message, old)
        assert message
        message.fetched_at = NOW - timedelta(days=100)
        session.add(message)
    desk.text = desk.text.replace('name = "sist"', 'name = "andre"')
    assert "Av de siste 3 brevene fra avsenderen gikk 1 til Økonomi (okonomi).\n" in rejected(desk)


def test_one_other_letter(desk: Desk) -> None:
    """One is not several."""
    earlier(desk, "a", "okonomi")
    assert "Det andre brevet fra avsenderen gikk til Økonomi (okonomi).\n" in rejected(desk)


def test_a_confidential_letter_says_nothing(desk: Desk) -> None:
    """Its sender is not named, so neither is where the sender's letters go."""
    earlier(desk, "a", "okonomi")
    text = rejected(desk, confidential=True)
    assert "okonomi" not in text


def test_in_time_nothing_is_said(desk: Desk) -> None:
    """A letter that nobody has acknowledged is not proposed to go elsewhere."""
    earlier(desk, "a", "okonomi")
    desk.store.letters.add([waiting_letter("b", sender_org=SENDER)])
    desk.look(days=2)
    assert "okonomi" not in desk.mail.told[0].text
