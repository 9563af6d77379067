"""Lists that people ask for: what is found, in which order, and at what cost to others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from daemon.core.model import Delivery, DeliveryState, Message
from daemon.store import BusyWait, Store, StoredLetter, Wanted, search
from tests.unit.conftest import NOW, PARTY, SENDER, DatabaseIn, stored_letter

pytestmark = pytest.mark.both_databases

COUNT = 700
OTHER = "910075918"


def _letter(number: int) -> StoredLetter:
    """One of many: every third is another service's, every seventh another organisation's."""
    letter = stored_letter(
        f"letter-{number}", ("erp",), title=f"Vedtak nr. {number}" if number % 10 else "Møte"
    )
    letter.message.service = "4255/1" if number % 3 else "4255/8"
    letter.message.party = PARTY if number % 7 else OTHER
    letter.message.sender_org, letter.message.sender_name = SENDER, "Skatteetaten Øst"
    letter.message.fetched_at = NOW + timedelta(minutes=number // 2)  # two at a time
    letter.decision.recipients = ["post"] if number % 5 else ["regnskap"]
    return letter


NUMBERS = {_letter(number).message.id: number for number in range(COUNT)}


@pytest.fixture(scope="module")
def stored(database_in: DatabaseIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with many letters."""
    with (
        database_in(tmp_path_factory.mktemp("search")) as url,
        closing(Store(url)) as store,
    ):
        store.letters.add([_letter(number) for number in range(COUNT)])
        dead = [_letter(number).deliveries[0].id for number in (3, 600)]
        with store.queries._database.write() as session:
            for key in dead:
                delivery = session.get(Delivery, key)
                assert delivery
                delivery.state = DeliveryState.DEAD
                session.add(delivery)
        yield store


def _numbers(store: Store, limit: int = COUNT, **wanted: Any) -> list[int]:
    found = store.search.letters(Wanted(**wanted), limit)
    return [NUMBERS[each.id] for each in found]


WANTED: dict[str, tuple[dict[str, Any], set[int]]] = {
    "all": ({}, set(range(COUNT))),
    "a service": ({"service": "4255/8"}, set(range(0, COUNT, 3))),
    "an organisation": ({"party": OTHER}, set(range(0, COUNT, 7))),
    "a title in capitals, without its accent": ({"title": "MØTE"}, set(range(0, COUNT, 10))),
    "part of a title": ({"title": "nr. 69"}, {69, *(n for n in range(691, 700))}),
    "a sender's number": ({"sender": "974 761 076"}, set(range(COUNT))),
    "another number": ({"sender": "974761077"}, set()),
    "part of a sender's name": ({"sender": "skatteETATEN"}, set(range(COUNT))),
    "a pattern for the sender": ({"sender": "skatt*øst"}, set(range(COUNT))),
    "a pattern that does not fit": ({"sender": "*etaten"}, set()),
    "a recipient": ({"recipient": "regnskap"}, set(range(0, COUNT, 5))),
    "a state": ({"state": DeliveryState.DEAD}, {3, 600}),
    "since": ({"since": NOW + timedelta(minutes=300)}, set(range(600, COUNT))),
    "until": ({"until": NOW + timedelta(minutes=1)}, {0, 1, 2, 3}),
    "several": (
        {"service": "4255/8", "recipient": "regnskap", "title": "vedtak", "party": PARTY},
        {n for n in range(COUNT) if n % 3 == 0 and n % 5 == 0 and n % 10 and n % 7},
    ),
}


@pytest.mark.parametrize("what", WANTED)
def test_letters_that_are_wanted(stored: Store, what: str) -> None:
    """Exactly the letters that fit are found, the newest first, however many pieces are read."""
    wanted, numbers = WANTED[what]
    found = _numbers(stored, **wanted)
    assert (len(found), set(found)) == (len(numbers), numbers)
    assert [number // 2 for number in found] == sorted((n // 2 for n in found), reverse=True)


def test_no_more_than_asked_for(stored: Store) -> None:
    """The limit counts letters that fit, of which the newest come."""
    assert _numbers(stored, 3, service="4255/8") == [699, 696, 693]


@pytest.mark.parametrize("what", ["letters", "deliveries"])
def test_others_may_commit_between_pieces(
    stored: Store, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """However many are asked for, they are read in short pieces, and between two of them another
    program commits without waiting."""
    for name in ("LETTERS", "ROWS", "_SEARCHED"):
        monkeypatch.setattr(search, name, 50)
    url, impatient = stored.queries._database._engine.shown, BusyWait(limit=0.0)
    walked = (
        stored.search.letters(Wanted(), COUNT)
        if what == "letters"
        else stored.search.deliveries(state=None, destination=None, limit=COUNT)
    )
    with closing(Store(url, impatient)) as other:
        for count, _ in enumerate(walked, start=1):
            if count % 50 == 1:
                other.events.add(NOW, kind="x", user="kari")
    assert count == COUNT


def test_deliveries_come_in_their_order(stored: Store) -> None:
    """Deliveries come as they were added, those of a state and a destination alone if asked for."""
    dead = [
        each.message_id
        for each in stored.search.deliveries(
            state=DeliveryState.DEAD, destination="erp", limit=COUNT
        )
    ]
    assert dead == [_letter(number).message.id for number in (3, 600)]
    assert not list(stored.search.deliveries(state=None, destination="mail", limit=9))
    assert stored.search.has_destination("erp")
    assert not stored.search.has_destination("mail")


def test_short_ids(store: Store) -> None:
    """An id is eight characters, or as many more as tell it from others; each finds its letter."""
    keys = [
        UUID(text)
        for text in (
            "11111111-0000-5000-8000-000000000000",
            "22222222-0000-5000-8000-000000000000",
            "22222222-0001-5000-8000-000000000000",
        )
    ]
    letters = [stored_letter(f"letter-{number}", ("erp",)) for number in range(3)]
    for key, letter in zip(keys, letters, strict=True):
        _rename(letter, key)
    store.letters.add(letters)
    assert store.search.short_ids(Message, keys[:2]) == {
        keys[0]: "11111111",
        keys[1]: "22222222-0000",
    }
    assert store.queries.message("22222222-0001").id == keys[2]


def _rename(letter: StoredLetter, key: UUID) -> None:
    letter.message.id = letter.decision.message_id = key
    for each in (*letter.deliveries, *letter.attachments):
        each.message_id = key
