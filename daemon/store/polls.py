"""Turns in the store: what is due, who has it, and how long servers want no calls.

A turn is claimed as a delivery is: it is the owner's until it ends, and the fence says of which
claim an end is. Only where nodes share the store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, case, func, text, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from daemon.core.turns import HostPause, Poll, Turn
from daemon.store.database import Database, table_of

_POLLS, _PAUSES = table_of(Poll), table_of(HostPause)
_UNUSED_FOR = timedelta(days=1)
"""After so long a turn that nobody has taken is of a mailbox or an organisation that is gone."""
_DUE = sql_select(_POLLS.c.party, _POLLS.c.due_at).where(
    _POLLS.c.mailbox == bindparam("of_mailbox"), _POLLS.c.due_at <= bindparam("now")
)
_TAKE = (
    sql_select(_POLLS)
    .where(
        _POLLS.c.mailbox == bindparam("of_mailbox"),
        _POLLS.c.party.in_(bindparam("of_parties", expanding=True)),
        _POLLS.c.due_at <= bindparam("now"),
    )
    .order_by(_POLLS.c.due_at)
    .with_for_update(skip_locked=True)
)
_TAKEN = (
    update(_POLLS)
    .where(
        _POLLS.c.mailbox == bindparam("of_mailbox"),
        _POLLS.c.party.in_(bindparam("of_parties", expanding=True)),
    )
    .values(
        owner=bindparam("taken_by"),
        busy=True,
        fence=_POLLS.c.fence + 1,
        due_at=bindparam("lease_ends"),
    )
)
_FORGET = text(
    "DELETE FROM polls WHERE due_at < :unused_since "
    "AND (mailbox <> :mailbox OR party <> ALL(CAST(:parties AS text[])))"
)
_KEEP = text(
    "INSERT INTO polls (mailbox, party, due_at, busy, fence, parties) "
    "SELECT :mailbox, wanted.party, wanted.due_at, false, 0, :size "
    "FROM unnest(CAST(:parties AS text[]), CAST(:due AS timestamptz[])) AS wanted(party, due_at) "
    "ON CONFLICT (mailbox, party) DO UPDATE SET parties = excluded.parties "
    "WHERE polls.parties <> excluded.parties"
)
_PAUSE = text(
    "INSERT INTO host_pauses (host, client, closed_until) "
    "VALUES (:host, :client, clock_timestamp() + make_interval(secs => :seconds)) "
    "ON CONFLICT (host, client) DO UPDATE "
    "SET closed_until = greatest(host_pauses.closed_until, excluded.closed_until)"
)
_SET = (
    "UPDATE polls SET due_at = ended.due_at, busy = {busy} "
    "FROM unnest(CAST(:parties AS text[]), CAST(:fences AS bigint[]), "
    "CAST(:due AS timestamptz[])) AS ended(party, fence, due_at) "
    "WHERE polls.mailbox = :mailbox AND polls.party = ended.party "
    "AND polls.fence = ended.fence AND polls.busy"
)
_END, _RENEW = text(_SET.format(busy="false")), text(_SET.format(busy="true"))
_CLOSED = sql_select(_PAUSES).where(_PAUSES.c.closed_until > bindparam("now"))


class Polls:
    """The turns of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, mailbox: str, wanted: Mapping[str, datetime], now: datetime, size: int) -> None:
        """Have a turn for each of these organisations; a new one is due as it says.

        Each is about `size` organisations. Turns of others that nobody takes any more are removed.
        """
        values = {
            "mailbox": mailbox,
            "parties": list(wanted),
            "due": list(wanted.values()),
            "size": size,
            "unused_since": now - _UNUSED_FOR,
        }
        with self._database.write() as session:
            session.execute(_FORGET, values)
            session.execute(_KEEP, values)

    def due(self, mailbox: str, now: datetime) -> Sequence[tuple[str, datetime]]:
        """Return whose turn it is, and since when; by one statement."""
        with self._database.read_one() as connection:
            values = {"of_mailbox": mailbox, "now": now}
            return [(row.party, row.due_at) for row in connection.execute(_DUE, values)]

    def claim(
        self,
        mailbox: str,
        parties: Collection[str],
        owner: str,
        now: datetime,
        lease: timedelta,
        ended: Sequence[tuple[Turn, datetime]] = (),
    ) -> Sequence[Turn]:
        """Take those of the turns that are due, the longest due first; and `end` others."""
        values = {"of_mailbox": mailbox, "of_parties": list(parties)}
        with self._database.write() as session:
            if ended:
                session.execute(_END, _ends(mailbox, ended))
            found = session.execute(_TAKE, {**values, "now": now}).all()
            if found:
                values["of_parties"] = [row.party for row in found]
                session.execute(_TAKEN, {**values, "taken_by": owner, "lease_ends": now + lease})
        return [
            Turn(party=row.party, fence=row.fence + 1, was_due=row.due_at, had_by=row.owner)
            for row in found
        ]

    def renew(self, mailbox: str, turns: Sequence[Turn], until: datetime) -> None:
        """Say that the turns go on."""
        with self._database.write() as session:
            session.execute(_RENEW, _ends(mailbox, [(each, until) for each in turns]))

    def end(self, mailbox: str, turns: Sequence[tuple[Turn, datetime]]) -> None:
        """End turns, each with the time of the next; one that another node took since stays so."""
        with self._database.write() as session:
            session.execute(_END, _ends(mailbox, turns))

    def make_due(self, mailbox: str, parties: Collection[str], now: datetime) -> int:
        """Make turns due now that nobody has at the moment; return how many are.

        Something happened there, and whoever has such turns is to look.
        """
        wanted = (
            _POLLS.c.mailbox == mailbox,
            _POLLS.c.party.in_(parties),
            _POLLS.c.busy.is_(False),
        )
        earlier = case((_POLLS.c.due_at > now, now), else_=_POLLS.c.due_at)
        with self._database.write() as session:
            changed = session.execute(update(_POLLS).where(*wanted).values(due_at=earlier))
            return int(getattr(changed, "rowcount", 0))

    def give_back(self, mailbox: str, owner: str, now: datetime) -> None:
        """Make due what this process has claimed and does not do any more."""
        ours = (_POLLS.c.mailbox == mailbox, _POLLS.c.owner == owner, _POLLS.c.busy.is_(True))
        with self._database.write() as session:
            session.execute(update(_POLLS).where(*ours).values(due_at=now, busy=False))

    def pause(self, host: str, client: str, seconds: float) -> None:
        """Record that a server wants no calls of a client for so long; a longer pause stays."""
        with self._database.write() as session:
            session.execute(_PAUSE, {"host": host, "client": client, "seconds": seconds})

    def pauses(self, now: datetime) -> Sequence[HostPause]:
        """Return the pauses that go on; by one statement."""
        with self._database.read_one() as connection:
            return [
                HostPause(**row) for row in connection.execute(_CLOSED, {"now": now}).mappings()
            ]


def release_turns(session: Session, living: Collection[str], now: datetime) -> None:
    """Release every turn of what does not take part any more: others take it at once."""
    gone = (col(Poll.owner).is_not(None), col(Poll.owner).not_in(living))
    due_at = case((col(Poll.busy).is_(True), now), else_=col(Poll.due_at))
    session.execute(update(Poll).where(*gone).values(due_at=due_at, busy=False, owner=None))


def parties_by_owner(session: Session) -> Mapping[str, int]:
    """Return how many organisations each start of a node had the last turn of."""
    counted = select(Poll.owner, func.sum(Poll.parties)).group_by(col(Poll.owner))
    return {owner: int(count) for owner, count in session.exec(counted) if owner}


def _ends(mailbox: str, turns: Sequence[tuple[Turn, datetime]]) -> dict[str, object]:
    return {
        "mailbox": mailbox,
        "parties": [turn.party for turn, _ in turns],
        "fences": [turn.fence for turn, _ in turns],
        "due": [due_at for _, due_at in turns],
    }
