"""Who has a letter: the first answer stays, is kept with the letter, and goes with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from daemon.core.bookkeeping import Acknowledgement, AcknowledgementState, LetterPart
from daemon.core.errors import NotFound, OperatorError
from daemon.core.model import message_id
from daemon.core.parcels import Receipt
from daemon.maintenance.backup import make_backup, restore_backup
from daemon.store import Store, results
from daemon.store.content_folder import ContentFolder
from daemon.store.users import Actor
from tests.unit.by_hand import everything_in
from tests.unit.conftest import NOW, stored_letter
from tests.unit.test_old_store import an_old_database  # noqa: F401  # the fixture `path`

pytestmark = pytest.mark.both_databases

LATER = NOW + timedelta(hours=1)
KARI, OLA = Actor(name="kari", address="10.0.0.1"), Actor(name="ola")
ACKNOWLEDGED, REJECTED = AcknowledgementState


@pytest.fixture(name="letter")
def a_stored_letter(store: Store) -> UUID:
    """A letter for which nobody has answered."""
    letter = stored_letter("a")
    store.letters.add([letter])
    return letter.message.id


def facts(store: Store, letter: UUID) -> list[tuple[object, ...]]:
    answers = store.acknowledgements.of(letter)
    return [(each.number, each.state, each.by, each.at, each.note) for each in answers]


def events(store: Store, letter: UUID) -> list[tuple[str, str, str]]:
    """Kind, user and what it is about, the newest first."""
    found = store.events.page(message_id=letter)
    return [(each.kind, each.user, each.about) for each in found]


def test_twice_is_once(store: Store, letter: UUID) -> None:
    """The first name, time and note stay when others acknowledge or reject later; one event."""
    answers = store.acknowledgements
    assert facts(store, letter) == []
    first = answers.acknowledge(letter, "kari", NOW, KARI, " ringer dem ")
    again = answers.acknowledge(letter, "ola", LATER, OLA, "jeg også")
    late = answers.reject(letter, "ola", LATER, OLA, "ikke vår")
    assert [each.by for each in (first, again, late)] == ["kari"] * 3
    assert facts(store, letter) == [(1, ACKNOWLEDGED, "kari", NOW, "ringer dem")]
    assert events(store, letter) == [("letter-acknowledged", "kari", "")]
    assert store.events.verify() is None


def test_two_at_once_are_one(store: Store, letter: UUID, database_url: str) -> None:
    """People who acknowledge at the same moment, through two programs, all see the same name."""
    second = Store(database_url)
    found: list[Acknowledgement] = []

    def work(number: int) -> None:
        answers = (store, second)[number % 2].acknowledgements
        found.append(answers.acknowledge(letter, f"user{number}", NOW, KARI))

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    second.close()
    assert len(found) == 8
    assert len({each.by for each in found}) == 1
    assert len(facts(store, letter)) == len(events(store, letter)) == 1


def test_a_rejected_letter_can_be_acknowledged(store: Store, letter: UUID) -> None:
    """A rejection has a reason and is kept; those who have the letter then acknowledge it."""
    answers = store.acknowledgements
    answers.reject(letter, "kari", NOW, KARI, "gjelder eiendom")
    assert answers.reject(letter, "ola", LATER, OLA, "enig").note == "gjelder eiendom"
    answers.acknowledge(letter, "eva", LATER, OLA)
    assert facts(store, letter) == [
        (1, REJECTED, "kari", NOW, "gjelder eiendom"),
        (2, ACKNOWLEDGED, "eva", LATER, ""),
    ]
    # the command line's user, and whom they named
    assert events(store, letter) == [
        ("letter-acknowledged", "ola", "eva"),
        ("letter-rejected", "kari", ""),
    ]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda answers, key: answers.reject(key, "kari", NOW, KARI, " "), "needs a reason"),
        (lambda answers, key: answers.acknowledge(key, " ", NOW, KARI), "name .* is empty"),
        (lambda answers, key: answers.acknowledge(key, "x" * 101, NOW, KARI), "may have 100"),
        (lambda answers, key: answers.acknowledge(key, "x", NOW, KARI, "y" * 501), "may have 500"),
    ],
)
def test_what_is_not_an_answer(
    store: Store, letter: UUID, answer: Callable[..., Acknowledgement], fault: str
) -> None:
    """Without a name or a reason, or with a text that is too long, nothing is recorded."""
    with pytest.raises(OperatorError, match=fault):
        answer(store.acknowledgements, letter)
    assert facts(store, letter) == events(store, letter) == []


def test_a_letter_that_is_not_here(store: Store) -> None:
    """Nothing is recorded for a letter that is not stored, and the store goes on."""
    with pytest.raises(NotFound, match="does not exist"):
        store.acknowledgements.acknowledge(UUID(int=7), "kari", NOW, KARI)
    assert store.events.page() == []


@pytest.mark.about_sqlite("a server is backed up by its own tools")
def test_it_survives_a_restart_and_is_in_the_backup(
    store: Store, letter: UUID, database: Path, content: ContentFolder, tmp_path: Path
) -> None:
    """State, name and time are there when the store is opened again, and when it is restored."""
    content.put([b"pdf"])
    store.acknowledgements.acknowledge(letter, "kari", NOW, KARI, "tar den")
    known = facts(store, letter)
    store.close()
    reopened = Store(f"sqlite:///{database}")
    assert facts(reopened, letter) == known
    reopened.close()
    make_backup(database, content, tmp_path / "backup", NOW)
    back, copy = tmp_path / "back.db", ContentFolder(tmp_path / "copy")
    restore_backup(tmp_path / "backup", back, copy, NOW, replace=False)
    restored = Store(f"sqlite:///{back}")
    assert facts(restored, letter) == known
    restored.close()


def test_it_goes_with_the_letter(store: Store, letter: UUID, database_url: str) -> None:
    """Retention deletes the name and the note with the letter, and says how many answers."""
    store.acknowledgements.acknowledge(letter, "kari", NOW, KARI, "en merknad")
    claims = store.outbox.claim("x", NOW, timedelta(hours=1), 9)
    receipt = Receipt(reference="x", details={})
    store.outbox.end([results.delivered(each, receipt, NOW, NOW) for each in claims])
    parts = dict.fromkeys(LetterPart, "rule")
    (metadata,) = [
        each
        for each in store.retention.delete({letter: parts}, "service", NOW)
        if each.part is LetterPart.METADATA
    ]
    assert metadata.what["acknowledgements"] == 1
    assert facts(store, letter) == []
    assert b"en merknad" not in everything_in(database_url)


def test_letters_of_an_old_store(path: Path) -> None:
    """After the upgrade nobody has acknowledged an earlier letter, and it can be acknowledged."""
    store, key = Store(f"sqlite:///{path}"), message_id("altinn", "delivered")
    assert facts(store, key) == []
    store.acknowledgements.acknowledge(key, "kari", NOW, KARI)
    assert facts(store, key) == [(1, ACKNOWLEDGED, "kari", NOW, "")]
    store.close()
