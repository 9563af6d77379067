"""Retention: what is kept how long, what is never touched, and what is left of what was deleted."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from daemon.config.loader import RetentionSettings
from daemon.core.bookkeeping import LetterPart
from daemon.core.errors import OperatorError
from daemon.core.model import (
    Delivery,
    DeliveryState,
    Mark,
    MarkKind,
    MarkState,
    Message,
    PartState,
    Policy,
)
from daemon.maintenance.housekeeping import Housekeeping
from daemon.maintenance.retention import Retention
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.by_hand import everything_in
from tests.unit.conftest import NOW, TABLE, TABLE_TEXT, TAX, Clock, sha256, stored_letter, table_of

pytestmark = pytest.mark.both_databases

ALL = {"body": "30d", "attachments": "20d", "metadata": "40d"}


def keeper(store: Store, content: ContentFolder, clock: Clock, **rules: object) -> Housekeeping:
    """Housekeeping by these rules, with the usual table."""
    rule = RetentionSettings.model_validate(rules)
    return Housekeeping(
        store=store,
        content=content,
        retention=lambda: Retention(settings=rule, table=TABLE, past=lambda _: None),
        clock=clock,
    )


def add(
    store: Store, content: ContentFolder, name: str, state: DeliveryState = DeliveryState.DELIVERED
) -> UUID:
    """A letter with an attachment, whose delivery is in this state."""
    content.put([b"pdf"])
    letter = stored_letter(name)
    store.letters.add([letter])
    with store._database.write() as session:
        (delivery,) = session.exec(select(Delivery).where(Delivery.message_id == letter.message.id))
        delivery.state, delivery.delivered_at = state, NOW
        session.add(delivery)
    return letter.message.id


def age(content: ContentFolder, data: bytes) -> Path:
    """Make the bytes as old as the letters."""
    path = content.path(sha256(data))
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    return path


def test_nothing_goes_by_default(store: Store, content: ContentFolder, clock: Clock) -> None:
    """Without a word about it, everything is kept for ever."""
    add(store, content, "a")
    clock.advance(days=30000)
    tidied = keeper(store, content, clock).run("test", threading.Event())
    assert (dict(tidied.deleted), tidied.files) == ({}, 0)


def test_each_part_goes_in_its_time_and_is_recorded(
    store: Store, content: ContentFolder, clock: Clock, database_url: str
) -> None:
    """Attachments, text and metadata go one after another; each is recorded, and a tombstone keeps
    the letter from coming again."""
    key, house = add(store, content, "a"), keeper(store, content, clock, **ALL)
    path = age(content, b"pdf")
    clock.advance(days=19)
    assert list(house.due()) == []
    clock.advance(days=1)
    assert house.run("service", threading.Event()).deleted == {LetterPart.ATTACHMENTS: 1}
    assert not path.exists()
    (attachment,) = store.queries.attachments(key)
    assert (attachment.state, attachment.sha256, attachment.deleted_at) == (
        PartState.DELETED,
        None,
        clock.now,
    )
    clock.advance(days=10)
    house.run("kari", threading.Event())
    letter = store.queries.message_by_id(key)
    assert (letter.body, letter.title, letter.body_deleted_at) == (
        "",
        "Vedtak om næringsareal",
        clock.now,
    )
    clock.advance(days=10)
    house.run("service", threading.Event())
    records = {
        each.part: (each.by, each.rule) for each in store.retention.deletions(message_id=key)
    }
    assert records == {
        LetterPart.ATTACHMENTS: ("service", "[retention]: attachments = 20d"),
        LetterPart.BODY: ("kari", "[retention]: body = 30d"),
        LetterPart.METADATA: ("service", "[retention]: metadata = 40d"),
    }
    store.close()
    assert "næringsareal".encode() not in everything_in(database_url)
    assert "Hei på deg".encode() not in everything_in(database_url)


def test_a_letter_that_was_deleted_never_comes_again(
    store: Store, content: ContentFolder, clock: Clock
) -> None:
    """What a tombstone stands for counts as stored: it is neither fetched nor kept nor missing."""
    letter = stored_letter("a", altinn2_id=7)
    key = add(store, content, "a")
    clock.advance(days=40)
    keeper(store, content, clock, **ALL).run("service", threading.Event())
    assert store.queries.counts().messages == 0
    assert store.letters.already_handled([letter.message.ref], None) == {key}
    assert store.letters.stored_in("altinn", TAX) == {"a"}
    assert store.letters.stored_of([key]) == {key}
    assert len(store.letters.add([letter]).new) == 0


def test_bytes_that_another_letter_needs_stay(
    store: Store, content: ContentFolder, clock: Clock
) -> None:
    """A file goes with the last letter that has it, and not while it is new."""
    add(store, content, "a")
    held = add(store, content, "b", DeliveryState.DEAD)
    path = age(content, b"pdf")
    clock.advance(days=50)
    house = keeper(store, content, clock, **ALL)
    house.run("service", threading.Event())
    assert path.exists()
    with store._database.write() as session:
        session.exec(
            select(Delivery).where(Delivery.message_id == held)
        ).one().state = DeliveryState.DELIVERED
    with content.guarded(alone=False):
        assert house.run("service", threading.Event()).files is None
    assert path.exists()
    os.utime(path, (clock.now.timestamp(), clock.now.timestamp()))
    assert house.run("service", threading.Event()).files == 0
    clock.advance(days=2)
    assert house.run("service", threading.Event()).files == 1
    assert not path.exists()


def test_a_legal_hold(store: Store, content: ContentFolder, clock: Clock) -> None:
    """While a hold is in force nothing of the letter goes; when it has ended, everything may."""
    key, house = add(store, content, "a"), keeper(store, content, clock, **ALL)
    store.retention.hold(key, "kari", "sak 12", NOW)
    with pytest.raises(OperatorError, match="under a legal hold since"):
        store.retention.hold(key, "kari", "", NOW)
    clock.advance(days=50)
    assert list(house.due()) == []
    assert store.retention.delete({key: {LetterPart.BODY: "x"}}, "x", clock.now) == []
    store.retention.end_hold(key, "ola", clock.now)
    with pytest.raises(OperatorError, match="is not under a legal hold"):
        store.retention.end_hold(key, "ola", clock.now)
    assert house.run("service", threading.Event()).deleted.total() == 3


def test_the_nearest_rule_counts() -> None:
    """The route comes before the service, the service before the rest, for each part by itself;
    metadata outlives the others."""
    table = table_of(TABLE_TEXT.replace('to = ["regnskap"]', 'to = ["regnskap"]\nkeep_body = "9d"'))
    rule = RetentionSettings.model_validate(
        {**ALL, "metadata": "1d", "service": {"4255/8": {"body": "7d", "attachments": "forever"}}}
    )
    retention = Retention(settings=rule, table=table, past={TABLE.version: TABLE}.get)
    days = {part: keep.time.days for part, keep in retention.of("4255/1", "x", "Skatt").items()}
    assert days == {LetterPart.BODY: 9, LetterPart.ATTACHMENTS: 20, LetterPart.METADATA: 20}
    tax = retention.of("4255/8", "x", "Alt annet")
    assert (tax[LetterPart.BODY].time.days, tax[LetterPart.METADATA].time) == (7, timedelta.max)
    assert retention.of("4255/1", "x", "borte")[LetterPart.BODY].time == timedelta.max
    assert retention.of("4255/1", TABLE.version, "Skatt")[LetterPart.BODY].time.days == 9


ENDED = {DeliveryState.DELIVERED, DeliveryState.WITHDRAWN}
deliveries = st.tuples(
    st.sampled_from(DeliveryState), st.booleans(), st.sampled_from((None, "nei"))
)
RUNS = count()  # the examples share a database
marks = st.none() | st.sampled_from(MarkState)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    letters=st.lists(
        st.tuples(st.lists(deliveries, min_size=1, max_size=2), marks, st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_nothing_undelivered_or_not_taken_is_ever_deleted(
    store: Store,
    content: ContentFolder,
    letters: list[tuple[list[tuple[DeliveryState, bool, str | None]], MarkState | None, bool]],
) -> None:
    """Whatever state letters are in: what goes was delivered and taken everywhere, its sender was
    told, and no hold is in force."""
    run = next(RUNS)
    clock = Clock()
    may_go: set[UUID] = set()
    stays: set[UUID] = set()
    for number, (states, mark, held) in enumerate(letters):
        policies = {MarkKind.READ: Policy.STORED} if mark else {}
        letter = stored_letter(f"run {run}/{number}", ("erp", "mail")[: len(states)], policies)
        key = letter.message.id
        store.letters.add([letter])
        with store._database.write() as session:
            rows = session.exec(
                select(Delivery)
                .where(Delivery.message_id == key)
                .order_by(col(Delivery.destination))
            ).all()
            for row, (state, waiting, rejection) in zip(rows, states, strict=True):
                row.state, row.awaiting_pickup, row.rejection = state, waiting, rejection
            for each in session.exec(select(Mark).where(Mark.message_id == key)):
                each.state = mark or MarkState.DONE
        if held:
            store.retention.hold(key, "kari", "", NOW)
        arrived = any(state is DeliveryState.DELIVERED for state, _, _ in states)
        done = arrived and all(
            state in ENDED and not waiting and not rejection for state, waiting, rejection in states
        )
        (may_go if done and mark in {None, MarkState.DONE} and not held else stays).add(key)
    clock.advance(days=1000)
    keeper(store, content, clock, **ALL).run("service", threading.Event())
    with store._database.read() as session:
        left = {
            each.id: each
            for each in session.exec(
                select(Message).where(col(Message.external_id).startswith(f"run {run}/"))
            )
        }
    assert left.keys() == stays
    assert all(each.body == "Hei på deg" for each in left.values())
    assert {each.message_id for each in store.retention.deletions()} >= may_go
