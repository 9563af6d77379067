"""The search index follows the store: what was synced equals what is made again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.bookkeeping import LetterPart
from daemon.core.errors import NotFound, OperatorError
from daemon.core.model import DecisionRow, Delivery, DeliveryState
from daemon.core.parcels import Receipt
from daemon.page.search import LetterFinder, LetterQuery, SearchIndex, filling
from daemon.store import Store, changes, results
from daemon.store.users import Actor
from tests.unit.conftest import NOW, TABLE, Clock, DatabaseIn, stored_letter

pytestmark = pytest.mark.both_databases

LEASE = timedelta(hours=1)
KARI = Actor(name="kari")
TABLES = {
    "letter": "SELECT l.number, l.id, l.fetched_at, l.published_at, l.due_at, l.day, "
    "l.published_day, l.title, l.folded_title, l.deliveries, l.due_source, l.desk, l.desk_at, "
    "l.acknowledged, l.revision, l.changed_at, "
    "l.confirmation_needed, p.party, p.service, p.sender_org, p.sender_name, "
    "p.route, p.recipients, p.direct, p.states "
    "FROM letter l JOIN profile p ON p.number = l.profile ORDER BY l.number",
    "open": "SELECT number, letter, state FROM open_delivery ORDER BY number",
    "words": "SELECT rowid, text FROM words ORDER BY rowid",
}


class World:
    """A store to which things happen, and an index that follows it."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.clock, self.count = Clock(), 0
        self.index = SearchIndex(folder / "search.db", store)

    def add(self, number: int) -> None:
        """A letter comes; some are confidential."""
        self.count += 1
        letter = stored_letter(
            f"letter-{self.count}",
            ("erp", "mail") if number % 2 else ("erp",),
            due_at=self.clock(),
            title=f"Vedtak {number}",
            body=f"Ord{self.count}",
            sender_name=("Skatteetaten", "Kommunen")[number % 2],
            confidential=number % 5 == 0,
        )
        letter.message.due_at = self.clock() if number % 3 else None
        letter.decision.respond_by = self.clock() if number % 2 else None
        letter.message.fetched_at = self.clock.advance(seconds=1)
        self.store.letters.add([letter])

    def _one(self, number: int, *states: DeliveryState) -> Delivery | None:
        some = [each for state in states for each in self.store.queries.deliveries(state=state)]
        return some[number % len(some)] if some else None

    def route(self, number: int) -> None:
        """An operator sends a letter elsewhere."""
        every = self.store.queries.deliveries()
        if not every:
            return
        message = every[number % len(every)].message_id
        self.store.decisions.decide(
            DecisionRow(
                message_id=message,
                number=1,
                decided_at=self.clock(),
                routing_version=TABLE.version,
                route="operator",
                chosen=["regnskap"],
                recipients=["regnskap"],
                direct=["archive"],
                why={},
            ),
            {("mail", "archive")[number % 2]: ["regnskap"]},
            self.clock(),
            again=(),
        )

    def hold(self, number: int) -> None:
        """An operator puts a delivery aside."""
        if one := self._one(number, DeliveryState.PENDING):
            self.store.outbox.hold([one.id])

    def release(self, number: int) -> None:
        """And lets it go on."""
        if one := self._one(number, DeliveryState.HELD):
            self.store.outbox.release([one.id], self.clock())

    def retry(self, number: int) -> None:
        """A dead one is tried again."""
        if one := self._one(number, DeliveryState.DEAD):
            self.store.outbox.retry([one.id], self.clock())

    def resend(self, number: int) -> None:
        """What was delivered goes again."""
        if one := self._one(number, DeliveryState.DELIVERED, DeliveryState.DEAD):
            self.store.outbox.resend([one.id], self.clock())

    def claim(self, _: int) -> None:
        """Something is under way, and stays so."""
        self.store.outbox.claim("me", self.clock(), LEASE, 1)

    def deliver(self, _: int) -> None:
        """One delivery is made."""
        for claim in self.store.outbox.claim("me", self.clock(), LEASE, 1):
            receipt = Receipt(reference="x", details={})
            now = self.clock()
            self.store.outbox.end([results.delivered(claim, receipt, now, now)])

    def die(self, _: int) -> None:
        """One delivery fails for good."""
        for claim in self.store.outbox.claim("me", self.clock(), LEASE, 1):
            self.store.outbox.end([results.dead(claim, "no", self.clock(), self.clock())])

    def _some(self, number: int) -> UUID:
        every = self.store.queries.deliveries()
        return every[number % len(every)].message_id if every else UUID(int=0)

    def acknowledge(self, number: int) -> None:
        """Somebody has a letter."""
        with suppress(NotFound):
            answers = self.store.acknowledgements
            answers.acknowledge(self._some(number), "kari", self.clock(), KARI)

    def confirm(self, number: int) -> None:
        """Somebody says when a letter wants an answer."""
        with suppress(NotFound):
            day = NOW + timedelta(days=number)
            self.store.deadlines.confirm(self._some(number), "kari", self.clock(), KARI, due_at=day)

    def drop(self, number: int) -> None:
        """Or that it wants none."""
        with suppress(NotFound):
            self.store.deadlines.drop(self._some(number), "kari", self.clock(), KARI)

    def handle(self, number: int) -> None:
        """Or that it has had it."""
        with suppress(OperatorError):
            self.store.deadlines.handle(self._some(number), "kari", self.clock(), KARI)

    def forget(self, number: int) -> None:
        """Retention deletes a text, or all of a letter."""
        parts = tuple(LetterPart) if number % 2 else (LetterPart.BODY,)
        some = [each.message_id for each in self.store.retention.candidates(self.clock())]
        if some:
            rules = dict.fromkeys(parts, "rule")
            self.store.retention.delete({some[number % len(some)]: rules}, "me", self.clock())

    def correct(self, number: int) -> None:
        """The clock was wrong, and what it recorded is put right."""
        first = self.clock() - timedelta(seconds=number)
        last, now = self.clock(), self.clock.advance(seconds=1)
        self.store.stamps.put_right(first, last, now, certain=False)

    def sync(self, _: int) -> None:
        """The index catches up."""
        assert self.index.sync().complete

    def rows(self) -> dict[str, list[Any]]:
        """All that the index says."""
        with self.index.read() as connection:
            return {name: connection.execute(sql).fetchall() for name, sql in TABLES.items()}


ACTS: dict[str, Callable[[World, int], None]] = {
    name: getattr(World, name)
    for name in (
        "add",
        "route",
        "hold",
        "release",
        "retry",
        "resend",
        "claim",
        "deliver",
        "die",
        "acknowledge",
        "confirm",
        "drop",
        "handle",
        "forget",
        "correct",
        "sync",
    )
}


@contextmanager
def world(database_in: DatabaseIn) -> Iterator[World]:
    """A world in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, database_in(Path(folder)) as url:
        store = Store(url)
        found = World(store, Path(folder))
        yield found
        found.index.close()
        store.close()


@settings(max_examples=15, deadline=None)
@given(
    acts=st.lists(
        st.tuples(st.sampled_from(["add", "deliver", *ACTS]), st.integers(0, 9)), max_size=25
    )
)
def test_whatever_happens_the_index_follows(
    database_in: DatabaseIn, acts: list[tuple[str, int]]
) -> None:
    """After any sequence of changes, with syncs among them, the index equals one made again."""
    with world(database_in) as here:
        for name, number in [("add", 1), *acts]:
            ACTS[name](here, number)
        here.sync(0)
        followed = here.rows()
        assert here.index.rebuild().complete
        assert followed == here.rows()
        with here.index.read() as connection:
            stored = here.store.queries.counts().messages
            assert len(followed["letter"]) <= stored
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


EACH = [
    "route",
    "hold",
    "deliver",
    "die",
    "claim",
    "resend",
    "correct",
    "acknowledge",
    "confirm",
    "drop",
]


@pytest.mark.parametrize("many", [10_000, 2])
@pytest.mark.parametrize("act", EACH)
def test_one_change_is_seen(
    database_in: DatabaseIn, act: str, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change that leaves no new letter is seen by the next sync, which reads few letters;
    also where so many deliveries wait that they are read in pieces."""
    monkeypatch.setattr(changes, "_MOST_AT_ONCE", many)
    with world(database_in) as here:
        for number in range(1, 4):
            here.add(number)
        here.deliver(0)
        here.sync(0)
        assert here.index.sync().letters == 0
        ACTS[act](here, 1)
        assert 0 < here.index.sync().letters + (act == "claim") <= 3
        followed = here.rows()
        here.index.rebuild()
        assert followed == here.rows()


def test_deleted_words_are_gone_from_the_file(database_in: DatabaseIn) -> None:
    """After retention no word of the letter is on the disk, neither of the text nor of the sender,
    and the other letters are still found."""
    with world(database_in) as here:
        here.add(1)
        secret = stored_letter(
            "secret",
            title="Kvantesprang",
            body="Hulderfolket",
            sender_name="Zqzaren",  # no other has its letters
        )
        here.store.letters.add([secret])
        here.add(1)  # later, or the index would be made again
        here.sync(0)
        for _ in range(5):
            here.deliver(0)
        here.sync(0)
        assert b"hulderfolket" in _bytes(here.folder)
        _delete(here, secret.message.id, LetterPart.BODY)
        here.sync(0)
        assert (b"hulderf" in _bytes(here.folder), b"kvantes" in _bytes(here.folder)) == (
            False,
            True,
        )
        _delete(here, secret.message.id, *LetterPart)
        here.sync(0)
        left = _bytes(here.folder)
        for word in (b"vantesp", b"zqz", b"ulderf", b"zar"):
            assert word not in left, word
        assert LetterFinder(here.index).total(LetterQuery(text="vedtak"), None) == 2


def _delete(here: World, key: Any, *parts: LetterPart) -> None:
    done = here.store.retention.delete({key: dict.fromkeys(parts, "rule")}, "me", NOW)
    assert done


def _bytes(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in sorted(folder.glob("search.db*")))


def test_a_reader_at_work_only_delays_the_forgetting(database_in: DatabaseIn) -> None:
    """While somebody reads, the deleted words stay in the file, and the next sync removes them."""
    with world(database_in) as here:
        here.add(1)
        here.sync(0)
        for _ in range(3):
            here.deliver(0)
        (key,) = {each.message_id for each in here.store.queries.deliveries()}
        with here.index.read() as connection:
            connection.execute("SELECT * FROM words").fetchall()
            _delete(here, key, *LetterPart)
            assert not here.index.sync(0.0).complete
        here.sync(0)
        assert b"vedtak" not in _bytes(here.folder)


@pytest.mark.about_sqlite("it puts a file back")
def test_another_store_means_another_index(database_in: DatabaseIn) -> None:
    """After the store was restored from a backup, the index has what the backup has."""
    with world(database_in) as here:
        for number in (1, 2, 3):
            here.add(number)
        copy = here.folder / "copy.db"
        shutil.copy(here.folder / "postmottak.db", copy)
        here.deliver(0)
        here.route(1)
        here.add(4)
        here.sync(0)
        here.index.close()
        here.store.close()
        shutil.copy(copy, here.folder / "postmottak.db")
        here.store = Store(f"sqlite:///{here.folder / 'postmottak.db'}")
        here.index = SearchIndex(here.folder / "search.db", here.store)
        here.sync(0)
        followed = here.rows()
        assert len(followed["letter"]) == 3
        here.index.rebuild()
        assert followed == here.rows()


def test_a_crash_in_a_sync_loses_nothing(
    database_in: DatabaseIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that breaks off in the middle leaves what it had done, and the next one goes on."""
    monkeypatch.setattr(filling, "_PIECE", 2)
    with world(database_in) as here:
        for number in range(1, 8):
            here.add(number)
        real, calls = here.store.changes.letters, iter([True, True, False])

        def breaks(*arguments: Any) -> Any:
            if not next(calls):
                raise RuntimeError("crash")
            return real(*arguments)

        monkeypatch.setattr(here.store.changes, "letters", breaks)
        with pytest.raises(RuntimeError):
            here.index.sync()
        assert (len(here.rows()["letter"]), here.index.is_complete()) == (4, False)
        monkeypatch.undo()
        here.sync(0)
        assert here.index.is_complete()
        assert len(here.rows()["letter"]) == 6  # one is confidential
