"""Letters by their deadlines, whoever named these; read by index, and in pieces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Connection, Index, RowMapping, bindparam, literal_column, text
from sqlalchemy import select as sql_select

from daemon.core.bookkeeping import Acknowledgement, AcknowledgementState, DeadlineAnswer
from daemon.core.deadlines import DeadlineFacts, DeadlineState, DeadlineWord
from daemon.core.model import DecisionRow, Message
from daemon.routing.facts import is_guarded
from daemon.store.database import Database, table_of
from daemon.store.pages import ROWS, pieces, row_number
from daemon.store.sql_words import member_text

_MESSAGES, _DECISIONS, _ANSWERS, _ACKNOWLEDGED = (
    table_of(kind) for kind in (Message, DecisionRow, DeadlineAnswer, Acknowledgement)
)
Index("messages_by_due", _MESSAGES.c.due_at, sqlite_where=text("due_at IS NOT NULL"))
Index(
    "decisions_by_respond_by",
    _DECISIONS.c.respond_by,
    sqlite_where=text("respond_by IS NOT NULL"),
)
_TOGETHER = 200
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_DATES = sql_select(
    _MESSAGES.c.id, _MESSAGES.c.published_at, _MESSAGES.c.requested_at, _MESSAGES.c.due_at
).where(_MESSAGES.c.id.in_(_IDS))
RESPOND = (
    _DECISIONS.c.respond_by,
    member_text(_DECISIONS.c.why, literal_column("'respond_within'")).label("respond_within"),
)
"""What `facts_of` needs of a decision."""
_TERMS = (
    sql_select(
        _DECISIONS.c.message_id,
        *RESPOND,
        _DECISIONS.c.recipients,
        _DECISIONS.c.chosen,
    )
    .where(_DECISIONS.c.message_id.in_(_IDS))
    .order_by(_DECISIONS.c.number)
)
_WORDS = (
    sql_select(
        _ANSWERS.c.message_id,
        _ANSWERS.c.state,
        _ANSWERS.c.by,
        _ANSWERS.c.at,
        _ANSWERS.c.due_at,
        _ANSWERS.c.note,
    )
    .where(_ANSWERS.c.message_id.in_(_IDS))
    .order_by(_ANSWERS.c.number)
)
_RECEIVED = (
    sql_select(
        _ACKNOWLEDGED.c.message_id, _ACKNOWLEDGED.c.state, _ACKNOWLEDGED.c.by, _ACKNOWLEDGED.c.at
    )
    .where(_ACKNOWLEDGED.c.message_id.in_(_IDS))
    .order_by(_ACKNOWLEDGED.c.number)
)
_OF_LETTER = (
    "id",
    "fetched_at",
    "party",
    "service",
    "sender_org",
    "sender_name",
    "title",
    "confidential",
)
_LETTERS = sql_select(*(_MESSAGES.c[name] for name in _OF_LETTER)).where(_MESSAGES.c.id.in_(_IDS))
_DATED = (
    (Message, _MESSAGES.c.due_at, _MESSAGES.c.id),
    (DecisionRow, _DECISIONS.c.respond_by, _DECISIONS.c.message_id),
    (DeadlineAnswer, _ANSWERS.c.due_at, _ANSWERS.c.message_id),
)
"""Where deadlines are written, each by an index."""


@dataclass(frozen=True, kw_only=True)
class DueLetter:
    """A letter with what is known of its deadline. The title of a confidential one is empty."""

    id: UUID
    fetched_at: datetime
    party: str
    service: str
    sender_org: str | None
    sender_name: str
    title: str
    confidential: bool
    recipients: Sequence[str]
    chosen: Sequence[str]
    """The recipients before delegation."""
    facts: DeadlineFacts
    acknowledged_by: str
    """Empty if nobody has."""

    @property
    def sender(self) -> str:
        """The sender's name, or else its organisation number; empty if it has neither."""
        return self.sender_name or self.sender_org or ""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do: it was acknowledged, and marked as handled."""
        return bool(self.acknowledged_by and self.facts.handled)

    @property
    def is_pressing(self) -> bool:
        """Whether its deadline is open, and not one that a sending system wrote by itself."""
        holds = self.facts.holds
        return holds is not None and holds.is_urgent and not self.is_done


class DueLetters:
    """Letters with deadlines. Read-only; may be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def between(self, since: datetime | None, until: datetime | None) -> Iterator[DueLetter]:
        """Yield the letters whose deadline holds and is from `since` to `until`, in no order.

        None is for any time. No transaction is open between two of them.
        """
        ids = iter(self._named(since, until))
        while some := list(islice(ids, _TOGETHER)):
            for each in self.of(some):
                holds = each.facts.holds
                if holds and _within(holds.due_at, since, until):
                    yield each

    def of(self, ids: Sequence[UUID]) -> list[DueLetter]:
        """Return these letters, some hundred at a time; not those that were deleted meanwhile."""
        these: dict[str, Any] = {"ids": list(ids)}
        with self._database.read_one() as connection:
            letters = connection.execute(_LETTERS, these).mappings().all()
        with self._database.read_one() as connection:
            facts = read_facts(connection, ids)
        with self._database.read_one() as connection:
            named = connection.execute(_TERMS, these)
            decided = {row.message_id: row for row in named}
        with self._database.read_one() as connection:
            received = read_acknowledged(connection, ids)
        return [
            DueLetter(
                **{**row, "confidential": secret, "title": "" if secret else row["title"]},
                recipients=decided[row["id"]].recipients,
                chosen=decided[row["id"]].chosen,
                facts=facts[row["id"]],
                acknowledged_by=received.get(row["id"], ("", None))[0],
            )
            for row in letters
            for secret in (is_guarded(row["service"], confidential=row["confidential"]),)
            if row["id"] in facts and row["id"] in decided
        ]

    def _named(self, since: datetime | None, until: datetime | None) -> set[UUID]:
        """Return the letters of which somebody or something named a deadline in this time."""
        found: set[UUID] = set()
        for kind, at, key in _DATED:
            order = (at, row_number(kind))
            for piece in pieces(
                self._database, order, at.is_not(None), since=since, until=until, size=ROWS
            ):
                with self._database.read_one() as connection:
                    found.update(connection.execute(sql_select(key).where(piece)).scalars())
        return found


def read_facts(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, DeadlineFacts]:
    """Return what is known of the deadlines of some letters; none of a letter that is not here."""
    these: dict[str, Any] = {"ids": list(ids)}
    terms = {row.message_id: row for row in connection.execute(_TERMS, these)}
    words = read_words(connection, ids)
    return {
        row["id"]: facts_of(row, terms[row["id"]], words.get(row["id"], ()))
        for row in connection.execute(_DATES, these).mappings()
        if row["id"] in terms
    }


def facts_of(letter: RowMapping, decision: Any, words: Sequence[DeadlineWord]) -> DeadlineFacts:
    """Return what is known of a deadline, from the rows of a letter and of its newest decision."""
    return DeadlineFacts(
        published_at=letter["published_at"],
        requested_at=letter["requested_at"],
        due_at=letter["due_at"],
        respond_by=decision.respond_by,
        respond_within=decision.respond_within or "",
        words=words,
    )


def read_words(connection: Connection, ids: Sequence[UUID]) -> Mapping[UUID, list[DeadlineWord]]:
    """Return what persons have said of the deadlines of some letters."""
    found: defaultdict[UUID, list[DeadlineWord]] = defaultdict(list)
    for row in connection.execute(_WORDS, {"ids": list(ids)}):
        found[row.message_id].append(
            DeadlineWord(
                state=DeadlineState(row.state),
                by=row.by,
                at=row.at,
                due_at=row.due_at,
                note=row.note,
            )
        )
    return found


def read_acknowledged(
    connection: Connection, ids: Sequence[UUID]
) -> Mapping[UUID, tuple[str, datetime]]:
    """Return who has acknowledged some letters, and when; nobody for a rejected one."""
    return {
        row.message_id: (row.by, row.at)
        for row in connection.execute(_RECEIVED, {"ids": list(ids)})
        if row.state is AcknowledgementState.ACKNOWLEDGED
    }


def _within(moment: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or moment >= since) and (until is None or moment <= until)
