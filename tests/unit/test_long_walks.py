"""Walks over thousands of rows: between two pieces anybody may commit, whatever is changed
meanwhile is seen, and nothing is done twice."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, select, update
from sqlmodel import col

from daemon.core.bookkeeping import SkippedLetter
from daemon.core.model import (
    DecisionValues,
    Delivery,
    DeliveryState,
    LetterRef,
    Message,
    SightingState,
)
from daemon.core.parcels import Receipt
from daemon.intake.rerouting import Rerouter, facts_of_stored, samples
from daemon.routing.table import Table, parse_table
from daemon.store import (
    Cover,
    Store,
    StoredLetter,
    balance,
    covers,
    decisions,
    letters,
    outbox,
    queries,
    results,
    retention,
    waiting,
)
from daemon.store.database import table_of
from daemon.store.pages import LETTERS, pieces, row_number
from tests.unit.conftest import NOW, TAX, stored_letter
from tests.unit.office import FOR_OLA, TEXT

MANY = 2000
SINCE = NOW - timedelta(days=1)


@pytest.fixture(scope="module")
def full_database(new_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Letters by the thousand that wait for kari; half of them are due at one moment, as after
    `deliveries retry`."""
    path = Path(shutil.copy(new_database, tmp_path_factory.mktemp("full") / "full.db"))
    store = Store(f"sqlite:///{path}")
    put_in_force(store, TEXT)
    store.letters.add([_letter(number) for number in range(MANY)])
    with store.queries._database.write() as session:
        session.add_all(_sighting(number) for number in range(300))
        session.execute(
            update(Delivery)
            .where(col(Delivery.destination) == "archive")
            .values(awaiting_pickup=True, delivered_at=NOW)
        )
    store.close()
    return path


@pytest.fixture(name="full")
def full_store(full_database: Path, database: Path) -> Iterator[Store]:
    """A store of the test's own, with these letters."""
    shutil.copy(full_database, database)
    store = Store(f"sqlite:///{database}")
    yield store
    store.close()


def _sighting(number: int) -> SkippedLetter:
    ref = LetterRef(
        mailbox="altinn",
        party=TAX.party,
        service=TAX.service,
        resource=TAX.resource,
        external_id=f"lost {number}",
    )
    facts = {
        "message_id": ref.message_id,
        "state": SightingState.FAILING,
        "first_seen_at": NOW,
        "last_seen_at": NOW,
    }
    return SkippedLetter.model_validate(asdict(ref) | facts)


def _letter(number: int) -> StoredLetter:
    at = NOW + timedelta(seconds=max(0, number - MANY // 2))
    letter = stored_letter(f"letter-{number}", ("archive", "mail"), due_at=at, title="Skatt")
    letter.message.fetched_at = letter.decision.decided_at = at
    letter.decision.route, letter.decision.chosen, letter.decision.recipients = (
        "Skatt",
        ["kari"],
        ["kari"],
    )
    letter.decision.routing_version = table(TEXT).version
    for each in letter.deliveries:
        each.recipients = ["kari"]
    return letter


def table(text: str) -> Table:
    """A table from its text."""
    return parse_table(text, "routing.toml", None)


def put_in_force(store: Store, text: str) -> Table:
    """Let a table be in force."""
    found = table(text)
    store.letters.note_table(found.version, found.text, NOW)
    return found


def rerouter(store: Store, text: str, **more: Any) -> Rerouter:
    """Decides by this table."""
    found = put_in_force(store, text)
    return Rerouter(store=store, table=lambda: found, clock=lambda: NOW, **more)


def commit_at_once(database: Path) -> None:
    """Commit from a connection of another program, which does not wait for anybody."""
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute(
            "INSERT INTO routing_versions VALUES (lower(hex(randomblob(16))), '', '2026-01-01 "
            "00:00:00.000000')"
        )
        other.execute("COMMIT")


WALKS: dict[str, Callable[[Store], Iterable[object]]] = {
    "letters that wait": lambda store: store.covers.queued(NOW),
    "letters that came": lambda store: store.decisions.since(SINCE),
    "samples": lambda store: samples(store, SINCE),
}
"""Every walk that hands on what it finds."""


@pytest.mark.parametrize("walk", WALKS)
def test_anybody_may_commit_during_a_walk(full: Store, database: Path, walk: str) -> None:
    """Wherever a walk stands, no transaction is open, so that another program commits without
    waiting for a moment."""
    count = 0
    for number, _ in enumerate(WALKS[walk](full)):
        if number % 100 == 0 or walk == "letters that wait":
            commit_at_once(database)
            count += 1
    assert count > 5


LONG_READS: dict[str, Callable[[Store], object]] = {
    **{name: lambda store, walk=walk: list(walk(store)) for name, walk in WALKS.items()},  # type: ignore[misc]
    "covers": lambda store: rerouter(store, TEXT + FOR_OLA).follow_covers(),
    "what routes took": lambda store: store.decisions.taken(SINCE),
    "status": lambda store: store.queries.counts(),
    "why it waits": lambda store: store.waiting.groups(),
    "notices": lambda store: store.balance.notices(),
    "the oldest": lambda store: store.queries.oldest_waiting(),
    "pickups": lambda store: list(store.outbox.awaiting_pickup(["archive"])),
    "what retention may delete": lambda store: list(
        store.retention.candidates(NOW + timedelta(days=1))
    ),
    "what is here": lambda store: store.letters.stored_in("altinn", TAX),
    "what was seen": lambda store: store.letters.sighted_in("altinn", TAX),
    "what fails": lambda store: store.letters.failing("altinn"),
    "sightings": lambda store: store.queries.sightings(SightingState.FAILING),
    "what is settled": lambda store: store.letters.already_handled(
        [_letter(number).message.ref for number in range(MANY)], None
    ),
    "what is stored": lambda store: store.letters.stored_of(
        [_letter(number).message.id for number in range(MANY)]
    ),
}
"""Everything that reads as many rows as are stored, seen or waiting."""


@pytest.mark.parametrize("read", LONG_READS)
def test_no_transaction_reads_everything(
    full: Store, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """Whatever looks at as many rows as there are does it in pieces, each in a transaction of its
    own."""
    for module in (balance, letters, outbox, decisions, retention, queries, covers, waiting):
        for name in ("LETTERS", "ROWS", "COUNTED", "_PAGE"):
            monkeypatch.setattr(module, name, 100, raising=False)
    begun: list[object] = []
    event.listen(full.queries._database._engine.reader, "begin", begun.append)
    LONG_READS[read](full)
    assert len(begun) >= 3


def test_a_walk_has_some_letters_at_a_time(full: Store) -> None:
    """A piece holds a bounded number of letters, however many are due at the same moment, and all
    of them come."""
    walked = list(full.covers.queued(NOW + timedelta(days=1)))
    assert max(len(some) for some in walked) <= LETTERS
    assert len({each.message for some in walked for each in some}) == MANY


def test_a_walk_over_what_came_is_in_order_and_whole(full: Store) -> None:
    """Each letter that came comes once, the oldest first, also where many came at one moment."""
    came = [(each.facts.at, each.id) for each in full.decisions.since(SINCE)]
    assert len(came) == len({key for _, key in came}) == MANY
    assert [at for at, _ in came] == sorted(at for at, _ in came)
    assert sum(1 for _ in full.decisions.since(NOW + timedelta(seconds=1))) == MANY // 2 - 1


def test_an_outline_says_what_the_letter_does(full: Store) -> None:
    """Of many letters at a time, each has the facts that it has alone, and its newest decision."""
    first = next(iter(full.decisions.since(SINCE)))
    rerouter(full, TEXT).route(first.id, "per")
    for outline in list(full.decisions.since(SINCE))[::500]:
        whole = full.decisions.decided(outline.id)
        assert outline.facts == facts_of_stored(whole, whole.message.fetched_at)
        assert outline.facts.attachment_names
        assert outline.decision._asdict() == whole.decision.model_dump(
            include=set(outline.decision._fields)
        )


def test_a_cover_for_thousands(full: Store, database: Path) -> None:
    """All that wait follow a cover, each once, while others commit and heartbeats are sent; again,
    nothing changes."""
    beats: list[None] = []

    def beat() -> None:
        commit_at_once(database)
        beats.append(None)

    covering = rerouter(full, TEXT + FOR_OLA, beat=beat)
    assert covering.follow_covers() == MANY
    assert len(beats) >= MANY // LETTERS
    assert full.queries.queues() == {("erp", DeliveryState.PENDING): MANY}
    assert covering.follow_covers() == 0


def test_a_walk_that_is_stopped_goes_on_later(full: Store) -> None:
    """A stop ends the walk where it stands; the next one does the rest, and nothing twice."""

    class Stopping:
        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            return self.asked > 10

    covering = rerouter(full, TEXT + FOR_OLA)
    done = covering.follow_covers(Stopping())  # type: ignore[arg-type]
    assert 0 < done < MANY
    assert covering.follow_covers() == MANY - done
    assert full.queries.queues() == {("erp", DeliveryState.PENDING): MANY}


def test_what_is_held_and_released_during_a_walk_is_not_missed(full: Store) -> None:
    """Whatever an operator holds, releases or retries while the walk goes on follows the cover all
    the same."""
    ids = [each.id for each in full.queries.deliveries(state=DeliveryState.PENDING)]
    full.outbox.hold(ids[: MANY // 2])
    turns: Iterator[Callable[[], object]] = iter(
        [
            lambda: full.outbox.hold(ids[-200:]),
            lambda: full.outbox.release(ids[:200], NOW + timedelta(seconds=1)),
            lambda: full.outbox.retry(ids[-400:-200], NOW + timedelta(seconds=1)),
        ]
    )
    seen: set[UUID] = set()
    for some in full.covers.queued(NOW):
        seen |= {each.message for each in some}
        next(turns, lambda: None)()
    assert len(seen) == MANY


@pytest.mark.parametrize("what", ["claimed", "delivered"])
def test_what_is_begun_between_read_and_change_stays(full: Store, what: str) -> None:
    """A delivery that was claimed or made after the walk read it stays as it is; what still waits
    beside it goes to the person who covers."""
    stale = next(full.covers.queued(NOW))[0]
    (archive,) = (
        each
        for each in full.queries.deliveries(message_id=stale.message)
        if each.destination == "archive"
    )
    claims = [
        each
        for each in full.outbox.claim("me", NOW, timedelta(hours=1), MANY, only=["archive"])
        if each.id == archive.id
    ]
    if what == "delivered":
        full.outbox.end(
            [
                results.delivered(each, Receipt(reference="x", details={}), NOW, NOW)
                for each in claims
            ]
        )
    changed = full.covers.follow(
        [Cover(message=stale.message, number=stale.number, wanted={"erp": ["ola"]})], NOW
    )
    assert (changed[stale.message].added, changed[stale.message].withdrawn) == (("erp",), ("mail",))
    states = {
        each.destination: each.state for each in full.queries.deliveries(message_id=stale.message)
    }
    assert states == {
        "archive": what,
        "mail": DeliveryState.WITHDRAWN,
        "erp": DeliveryState.PENDING,
    }


def test_what_is_decided_between_read_and_change_stays(full: Store) -> None:
    """A letter that an operator routed after the walk read it keeps what the operator said."""
    stale = next(full.covers.queued(NOW))[0]
    rerouter(full, TEXT).route(stale.message, "per")
    before = full.queries.deliveries(message_id=stale.message)
    assert (
        full.covers.follow(
            [Cover(message=stale.message, number=stale.number, wanted={"erp": ["ola"]})], NOW
        )
        == {}
    )
    assert full.queries.deliveries(message_id=stale.message) == before


def test_applying_leaves_what_was_decided_meanwhile(full: Store) -> None:
    """A letter that an operator routes while `routes apply` goes on keeps what the operator
    said."""
    applying = rerouter(full, TEXT.replace('to = ["kari"]', 'to = ["ola"]'))
    letter = next(iter(full.decisions.since(SINCE)))
    made = full.decisions.decided(letter.id).decision
    applying.route(letter.id, "per")
    result = full.decisions.decide(
        DecisionValues(**made.model_dump()),
        {"erp": ["ola"]},
        NOW,
        again=(),
        after=letter.decision.number,
    )
    assert result is None
    assert full.decisions.decided(letter.id).decision.recipients == ["per"]


def test_pieces_have_so_many_rows_and_no_more(full: Store) -> None:
    """Every row is in exactly one piece, and a piece has at most so many rows, for sizes that
    divide their number and others."""
    messages = table_of(Message)
    for size in (70, 500, MANY, MANY + 1):
        counts = []
        for piece in pieces(
            full.queries._database, (messages.c.fetched_at, row_number(Message)), size=size
        ):
            with full.queries._database.read_one() as connection:
                counts.append(
                    connection.execute(
                        select(func.count()).select_from(messages).where(piece)
                    ).scalar_one()
                )
        assert sum(counts) == MANY
        assert max(counts) <= size
