"""Everything that happened to a letter, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.core.bookkeeping import DeadlineAnswer
from daemon.core.model import AttemptRow, DecisionRow, Delivery, MarkState, Message
from daemon.core.times import in_norway, in_utc, written
from daemon.store import Store, acknowledgements, deadlines

_EVENTS = 200  # the newest on the page
_OF_ROWS = {*acknowledgements.EVENTS.values(), *deadlines.EVENTS.values()}
"""Kinds of events that have rows of their own, with more to show."""
REFUSED = "refused"
"""The kind of an event that says who was refused what."""


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One thing that happened: a kind that templates have words for, and what it is about."""

    at: datetime
    kind: str
    what: str = ""
    why: str = ""
    """A reason in the words of another system, or of who did it."""


def timeline(
    store: Store,
    message: Message,
    decisions: Sequence[DecisionRow],
    deliveries: Sequence[Delivery],
    attempts: Mapping[UUID, Sequence[AttemptRow]],
) -> list[Happening]:
    """Return what happened to a letter, the earliest first. Raises StoreError."""
    found = [
        Happening(at=message.published_at, kind="published", what=message.sender_name),
        Happening(at=message.fetched_at, kind="fetched", what=message.mailbox),
        *(Happening(at=each.decided_at, kind="decided", what=each.route) for each in decisions),
        *_deliveries(deliveries, attempts),
        *_files(store, message),
        *_kept(store, message),
        *(
            Happening(
                at=each.at, kind=acknowledgements.EVENTS[each.state], what=each.by, why=each.note
            )
            for each in store.acknowledgements.of(message.id)
        ),
        *(
            Happening(at=each.at, kind=deadlines.EVENTS[each.state], what=each.by, why=_said(each))
            for each in store.deadlines.answers(message.id)
        ),
        *_events(store, message),
    ]
    return sorted(found, key=lambda each: in_utc(each.at))


def _said(answer: DeadlineAnswer) -> str:
    """Return the day of a confirmed deadline, and the person's note."""
    day = written(in_norway(answer.due_at), "%d.%m.%Y") if answer.due_at else ""
    return ". ".join(each for each in (day, answer.note) if each)


def _events(store: Store, message: Message) -> Iterator[Happening]:
    """Who opened it, and why they said they did; and who was refused."""
    for each in reversed(store.events.page(message_id=message.id, limit=_EVENTS)):
        if each.kind in _OF_ROWS or not (each.done or each.kind == REFUSED):
            continue  # an answer is a row of its own
        why = str(each.details.get("reason", ""))
        yield Happening(at=each.at, kind=each.kind, what=each.user, why=why)


def _deliveries(
    deliveries: Sequence[Delivery], attempts: Mapping[UUID, Sequence[AttemptRow]]
) -> Iterator[Happening]:
    for delivery in deliveries:
        for each in attempts[delivery.id]:
            yield Happening(
                at=each.started_at,
                kind=f"attempt {each.outcome.value}",
                what=delivery.destination,
                why=each.reason if each.outcome.value != "delivered" else "",
            )
        if delivery.taken_at:
            yield Happening(at=delivery.taken_at, kind="taken", what=delivery.destination)


def _files(store: Store, message: Message) -> Iterator[Happening]:
    """What did not come with the letter, what came later, and who opened the letter for it."""
    names = {each.position: each.safe_name for each in store.queries.attachments(message.id)}
    for position, each in store.missing_files.of(message.id).items():
        name = names.get(position, "")
        yield Happening(at=each.since, kind="file missing", what=name, why=each.reason)
        if each.came_at:
            yield Happening(at=each.came_at, kind="file came", what=name)
    opening = store.openings.of(message.id)
    if opening and opening.opened_at:
        yield Happening(
            at=opening.opened_at, kind="dialog opened", what=opening.by, why=opening.why
        )


def _kept(store: Store, message: Message) -> Iterator[Happening]:
    """What was told to the sender, what retention deleted, and what is held for good reason."""
    for mark in store.queries.marks(message.id):
        if mark.state is MarkState.DONE and mark.done_at:
            yield Happening(at=mark.done_at, kind=f"marked {mark.kind.value}")
    for deletion in store.retention.deletions(message_id=message.id):
        yield Happening(at=deletion.deleted_at, kind="deleted", what=deletion.part.value)
    for hold in store.retention.holds(message.id):
        yield Happening(at=hold.begun_at, kind="hold begun", what=hold.begun_by, why=hold.reason)
        if hold.ended_at:
            yield Happening(at=hold.ended_at, kind="hold ended", what=hold.ended_by or "")
