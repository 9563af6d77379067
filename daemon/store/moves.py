"""Letters that people moved from where the routing table had sent them, and what that taught."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BindParameter, Index, bindparam, text
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from daemon.core.edits import DismissedProposal
from daemon.core.model import DecisionRow, Message
from daemon.routing.decide import OPERATOR
from daemon.routing.facts import Facts
from daemon.store.database import Database, table_of
from daemon.store.decisions import outlines

_MOST = 1000
"""Moves, the last ones."""
_PIECE = 200  # letters that are read in one transaction: about 10 ms
_MESSAGES, _DECISIONS = table_of(Message), table_of(DecisionRow)
_OURS = text("route = '(operator)' AND number > 1")
"""The first decision of a letter may follow the earlier one of a thread, which somebody moved."""
Index("decisions_by_operators", _DECISIONS.c.decided_at, sqlite_where=_OURS)
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_MADE = (
    sql_select(
        _DECISIONS.c.message_id,
        *(_DECISIONS.c[name] for name in ("route", "chosen", "direct", "recipients", "why")),
    )
    .where(_DECISIONS.c.message_id.in_(_IDS))
    .order_by(_DECISIONS.c.number)
)


class Moved(NamedTuple):
    """A letter that somebody moved: how the table had decided, and where it is now."""

    id: UUID
    facts: Facts
    route: str
    """The route that decided last before."""
    was: tuple[str, ...]
    """Whom that route chose, covers aside."""
    to: tuple[str, ...]
    """Whom the person chose who moved it last."""
    recipients: tuple[str, ...]
    """Who gets it now."""


class Moves:
    """What people corrected. May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, start: datetime) -> list[Moved]:
        """Return the letters that were moved at `start` or later, those moved last first.

        A letter that was moved back, or that the table decided again since, is none of them. No
        statement takes longer than a moment.
        """
        moved = (
            select(DecisionRow.message_id)
            .where(_OURS, col(DecisionRow.decided_at) >= start)
            .order_by(col(DecisionRow.decided_at).desc())
            .limit(_MOST)
        )
        ids = list(dict.fromkeys(self._database.rows(moved)))
        return [each for at in range(0, len(ids), _PIECE) for each in self._some(ids, at)]

    def dismiss(self, key: str, by: str, now: datetime) -> None:
        """Record, durably, that a proposal is not to be made again. May be called twice."""
        with self._database.write() as session:
            if session.get(DismissedProposal, key) is None:
                session.add(DismissedProposal(key=key, at=now, by=by))

    def dismissed(self) -> frozenset[str]:
        """Return the keys of the proposals that are not to be made again."""
        return frozenset(self._database.rows(select(DismissedProposal.key)))

    def _some(self, ids: Sequence[UUID], start: int) -> list[Moved]:
        some = ids[start : start + _PIECE]
        made: defaultdict[UUID, list[_Made]] = defaultdict(list)
        with self._database.read() as session:
            connection = session.connection()
            for row in connection.execute(_MADE, {"ids": some}):
                made[row[0]].append(_Made(*row[1:]))
            which = _MESSAGES.c.id.in_(some)
            facts = {each.id: each.facts for each in outlines(connection, which)}
        return [
            found for key in some if key in facts for found in _moved(key, facts[key], made[key])
        ]


class _Made(NamedTuple):
    """What is needed of a decision. As objects they cost many times as much."""

    route: str
    chosen: list[str]
    direct: list[str]
    recipients: list[str]
    why: dict[str, Any]


def _moved(key: UUID, facts: Facts, made: Sequence[_Made]) -> Iterator[Moved]:
    last = made[-1]
    tables = [each for each in made if each.route != OPERATOR or "thread" in each.why]
    if last.route != OPERATOR or last in tables or not tables:
        return
    was, to = (*tables[-1].chosen, *tables[-1].direct), tuple(last.chosen)
    if was != to:
        yield Moved(key, facts, tables[-1].route, was, to, tuple(last.recipients))
