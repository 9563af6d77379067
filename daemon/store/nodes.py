"""Nodes in the store: who takes part, whose work is taken over, and who has which duty.

All by the database's clock. What a node has claimed is its own until, in one transaction, it is
fenced off and its claims are released; every transaction of a node that writes looks first whether
that has happened (`Database.write`). Only PostgreSQL has nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    column,
    delete,
    exists,
    func,
    table,
    text,
    update,
)
from sqlmodel import Session, col, select

from daemon.core.errors import NotFound, OperatorError, StoreError
from daemon.core.model import Delivery, DeliveryState
from daemon.core.nodes import (
    ENDED_AFTER,
    SILENT_AFTER,
    DutyRow,
    Member,
    NodeRow,
    NodeState,
    fenced,
    member_of,
)
from daemon.store.abandoned import CLAIMED, LOST, STOPPED, release_claims
from daemon.store.database import Database, table_of
from daemon.store.migrations import HEAD
from daemon.store.polls import parties_by_owner, release_turns
from daemon.store.upgrade import tables_of

_NODES, _DUTIES = table_of(NodeRow), table_of(DutyRow)
_NOW = text("SELECT clock_timestamp()")
_SERVER_STARTED = text("SELECT pg_postmaster_start_time()")
_BEAT = (
    update(_NODES)
    .where(
        _NODES.c.name == bindparam("of_node"),
        _NODES.c.incarnation == bindparam("of_start"),
        _NODES.c.fenced_at.is_(None),
        _NODES.c.stopped_at.is_(None),
    )
    .values(seen_at=func.clock_timestamp(), backend=func.pg_backend_pid())
    .returning(_NODES.c.seen_at, _NODES.c.backend)
)
_BACKENDS = table("pg_stat_activity", column("pid"))  # which any role may see of any other
_CONNECTED = exists().where(_BACKENDS.c.pid == _NODES.c.backend)
_ENDED = select(col(NodeRow.name), col(NodeRow.incarnation)).where(
    col(NodeRow.fenced_at).is_(None),
    col(NodeRow.stopped_at).is_(None),
    func.clock_timestamp() - col(NodeRow.seen_at) >= ENDED_AFTER,
    col(NodeRow.backend) != 0,  # a version before does not say it
    ~_CONNECTED,
)
_SILENT = "another node has taken over, because nothing was heard of this one during the attempt"


@dataclass(frozen=True, kw_only=True)
class Beat:
    """The answer to a heartbeat."""

    now: datetime
    """What the database's clock says."""
    backend: int
    """The server's process that answered."""
    ended: Collection[Member]
    """Nodes whose connection has ended, and which were not heard of for `ENDED_AFTER`."""


@dataclass(frozen=True, kw_only=True)
class SeenNodes:
    """What a node sees of all."""

    nodes: Sequence[NodeRow]
    duties: Mapping[str, Member]
    """Who has each duty, as the rows say."""


class Nodes:
    """The nodes of one store, and their duties."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def join(
        self, wanted: NodeRow, may_replace: Callable[[NodeRow, datetime], bool]
    ) -> NodeRow | None:
        """Take part under the name, and release what earlier starts of it had claimed.

        Returns None; or the node that has the name, unless it has ended, or `may_replace` says so
        of it and the database's time. Where the database is waited for, it is tried again when that
        is back. Raises StoreError.
        """

        def joined(_again: bool) -> NodeRow | None:
            with self._database.write() as session:
                return _join(session, wanted, may_replace)

        return self._database.repeated(joined)

    def beat(self, member: Member) -> Beat:
        """Say that the node is alive, on a connection that nothing else uses.

        Raises NodeFenced if it takes part no more.
        """
        with self._database.beating() as connection:
            values = {"of_node": member.node, "of_start": member.incarnation}
            found = connection.execute(_BEAT, values).one_or_none()
            if found is None:
                raise fenced(member.node)
            now, backend = found
            return Beat(now=now, backend=backend, ended=_ended(connection))

    def seen(self) -> SeenNodes:
        """Return all nodes and duties, read on the connection of the heartbeats."""
        with self._database.beating() as connection:
            duties = connection.execute(_DUTIES.select()).mappings()
            return SeenNodes(
                nodes=[NodeRow(**row) for row in connection.execute(_NODES.select()).mappings()],
                duties={
                    row["name"]: Member(node=row["node"], incarnation=row["incarnation"])
                    for row in duties
                },
            )

    def take_over(self, silent: Collection[Member]) -> Mapping[str, int]:
        """Fence these off, and release what they had claimed, unless they were heard of since.

        Returns how many claims each had, by the name of the node.
        """
        with self._database.write() as session:
            # a heartbeat that comes meanwhile waits, or is seen
            names = [each.node for each in silent]
            rows = session.exec(
                select(NodeRow).where(col(NodeRow.name).in_(names)).with_for_update()
            ).all()
            now, ended = _now(session), _ended(session.connection())
            found = [
                each
                for each in rows
                if each.member in silent
                and each.takes_part
                and (each.member in ended or now - each.seen_at >= SILENT_AFTER)
            ]
            for each in found:
                each.fenced_at = now
                session.add(each)
            session.flush()
            before = {each.member: each for each in session.exec(select(NodeRow))}
            released = _release_unowned(session, before, now) if found else Counter[str]()
            return {each.name: released[each.name] for each in found}

    def leave(self, member: Member) -> None:
        """Take part no more, after an orderly stop: others have the claims and duties at once."""
        with self._database.write() as session:
            now = _now(session)
            stopped = update(NodeRow).where(
                col(NodeRow.name) == member.node, col(NodeRow.incarnation) == member.incarnation
            )
            session.execute(stopped.values(stopped_at=now))
            before = {each.member: each for each in session.exec(select(NodeRow))}
            _release_unowned(session, before, now)
            session.execute(delete(DutyRow).where(_is_of(member)))

    def forget(self, name: str) -> None:
        """Remove a node that does not come back. Raises NotFound, and OperatorError if it lives."""
        if not self._database.is_shared:
            raise NotFound("The store has one node, the service on its machine")
        with self._database.write() as session:
            now, found = _now(session), session.get(NodeRow, name)
            if found is None:
                raise NotFound(f"No node is called {name}; see `postmottak nodes`")
            if found.takes_part and not found.silent(now):
                raise OperatorError(f"The node {name} is alive; stop it first, on {found.host}")
            before = {
                each.member: NodeRow(**each.model_dump()) for each in session.exec(select(NodeRow))
            }
            session.delete(found)
            session.flush()
            _release_unowned(session, before, now)
            session.execute(delete(DutyRow).where(_is_of(found.member)))

    def take_duty(self, name: str, member: Member) -> Member:
        """Return who has the duty: this node, if it was free."""
        with self._database.write() as session:
            row = session.get(DutyRow, name)
            holder = Member(node=row.node, incarnation=row.incarnation) if row else None
            living = {each.member for each in session.exec(select(NodeRow)) if each.takes_part}
            if holder in living:
                assert holder
                return holder
            session.merge(
                DutyRow(
                    name=name,
                    node=member.node,
                    incarnation=member.incarnation,
                    since=_now(session),
                )
            )
        return member

    def states(self) -> Sequence[NodeState]:
        """Return all nodes, with what they have in hand, by name; none if the store has one."""
        if not self._database.is_shared:
            return []
        claims = (
            select(Delivery.owner, func.count())
            .where(Delivery.state == DeliveryState.CLAIMED)
            .group_by(col(Delivery.owner))
        )
        with self._database.read() as session:
            now = _now(session)
            nodes = session.exec(select(NodeRow).order_by(col(NodeRow.name))).all()
            duties = session.exec(select(DutyRow).order_by(col(DutyRow.name))).all()
            owned = session.exec(claims).all()
            parties = parties_by_owner(session)
        by_member: Counter[Member] = Counter()
        for owner, count in owned:
            by_member[member_of(owner or "")] += count
        return [
            NodeState(
                node=each,
                alive=each.takes_part and not each.silent(now),
                claims=by_member[each.member],
                parties=parties.get(each.member.owner, 0),
                duties=[
                    row.name
                    for row in duties
                    if (row.node, row.incarnation) == (each.name, each.incarnation)
                ],
            )
            for each in nodes
        ]


def _ended(connection: Connection) -> frozenset[Member]:
    """Return the nodes whose connection has ended some time ago, and that did not come back."""
    found = connection.execute(_ENDED)
    return frozenset(Member(node=name, incarnation=start) for name, start in found)


def _join(
    session: Session, wanted: NodeRow, may_replace: Callable[[NodeRow, datetime], bool]
) -> NodeRow | None:
    _refuse_upgraded(session)
    now = _now(session)
    known = session.get(NodeRow, wanted.name)
    is_other = known is not None and known.member != wanted.member
    if known and is_other and known.takes_part and not may_replace(known, now):
        return known
    before = {each.member: NodeRow(**each.model_dump()) for each in session.exec(select(NodeRow))}
    session.merge(NodeRow(**{**wanted.model_dump(), "started_at": now, "seen_at": now}))
    session.flush()
    _release_unowned(session, before, now)
    return None


def _refuse_upgraded(session: Session) -> None:
    """Raise StoreError if a later version has upgraded the tables since they were opened.

    It has not seen this node, and may have taken away what it needs.
    """
    if tables_of(session.connection()) != HEAD:
        raise StoreError("a later version has upgraded the tables during this start")


def _is_of(member: Member) -> ColumnElement[bool]:
    return and_(col(DutyRow.node) == member.node, col(DutyRow.incarnation) == member.incarnation)


def _now(session: Session) -> datetime:
    found: datetime = session.execute(_NOW).scalar_one()
    return found


def _release_unowned(
    session: Session, before: Mapping[Member, NodeRow], now: datetime
) -> Counter[str]:
    """Release every claim of what does not take part; return how many, by the name of the node.

    `before` has the nodes as they were, of which it is known how they ended. A delivery is blamed
    if its process may have ended by itself: not after an orderly stop, and not if the server was
    restarted since the node was last heard of.
    """
    living = {each.member for each in session.exec(select(NodeRow)) if each.takes_part}
    release_turns(session, [each.owner for each in living], now)
    gone: dict[Member, list[Delivery]] = {}
    for delivery in session.exec(CLAIMED):
        member = member_of(delivery.owner or "")
        if member not in living:
            gone.setdefault(member, []).append(delivery)
    started = session.execute(_SERVER_STARTED).scalar_one() if gone else now
    for member, claimed in gone.items():
        node = before.get(member)
        stopped = node is None or node.stopped_at is not None
        blame = node is not None and not stopped and node.seen_at >= started
        reason = STOPPED if stopped else _SILENT if node and node.fenced_at else LOST
        release_claims(session, claimed, now, reason, blame=blame)
    return Counter({member.node: len(claimed) for member, claimed in gone.items()})
