"""The turns of one mailbox, where nodes share its organisations.

Each organisation has a turn in the store, with a time. A node takes those it is preferred for, so
that tokens and connections stay warm, and those of others that are late. What takes part no more
has lost its turns with its claims.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from daemon.core.node_role import NodeRole
from daemon.core.pacing import PROCESSES
from daemon.core.turns import Turn, late_after, next_due, preferred
from daemon.intake.pauses import hear_pauses
from daemon.store import Store

_LEASE = timedelta(minutes=15)
"""How long a turn lasts unless it is renewed. That of a node that is gone is released before."""


class Turns:
    """Whose turn it is. For one thread."""

    def __init__(
        self,
        store: Store,
        role: NodeRole,
        clock: Callable[[], datetime],
        mailbox: str,
        every: timedelta,
    ) -> None:
        """Begin: what this process had before is due. Raises StoreError."""
        self._store, self._role, self._clock = store, role, clock
        self._mailbox, self._late = mailbox, late_after(every)
        self._known: Collection[str] = ()
        self._renewed_at = clock()
        self._taken: Sequence[Turn] = ()
        self._ended: Sequence[tuple[Turn, datetime]] = ()
        store.polls.give_back(mailbox, role.owner, clock())

    def follow(self, parties: Mapping[str, datetime], size: int = 1) -> None:
        """Know these organisations; the turn of a new one is due as it says. Raises StoreError.

        With a `size`, each turn is about so many.
        """
        self._known = frozenset(parties)
        self._store.polls.keep(self._mailbox, parties, self._clock(), size)

    def take(self, most: int) -> Sequence[Turn]:
        """Take turns that are due; `end` them before the next call. Raises StoreError.

        None while this node may begin nothing. What servers have asked for is heeded from now on.
        """
        if not self._role.runs():
            return ()
        now, living = self._clock(), self._role.living()
        PROCESSES.nodes = max(1, len(living))
        mine = [
            (due_at, party)
            for party, due_at in self._store.polls.due(self._mailbox, now)
            if party in self._known and self._may_take(party, now - due_at, living)
        ]
        if not mine:
            self.settle()
            return ()
        hear_pauses(self._store, now)
        wanted = [party for _, party in sorted(mine)[:most]]
        self._taken = self._store.polls.claim(
            self._mailbox, wanted, self._role.owner, now, _LEASE, self._ended
        )
        self._ended, self._renewed_at = (), now
        return self._taken

    def _may_take(self, party: str, late: timedelta, living: Collection[str]) -> bool:
        return late >= self._late or self._role.node == preferred(
            f"{self._mailbox}\0{party}", living
        )

    def renew(self) -> None:
        """Say that the turns go on, if that was long ago. Raises StoreError."""
        now = self._clock()
        if self._taken and now - self._renewed_at > _LEASE / 3:
            self._renewed_at = now
            self._store.polls.renew(self._mailbox, self._taken, now + _LEASE)

    def end(self, began: datetime, every: Mapping[str, timedelta]) -> None:
        """End the turns that were taken; `every` has the interval of each.

        It is recorded when the next ones are taken, which spares a transaction.
        """
        self._ended = [
            (each, next_due(each, began, every[each.party], late=self._late))
            for each in self._taken
        ]
        self._taken = ()

    def settle(self) -> None:
        """Record which turns have ended. Raises StoreError."""
        if self._ended:
            self._store.polls.end(self._mailbox, self._ended)
            self._ended = ()

    def make_due(self, parties: Collection[str]) -> bool:
        """Let whoever is preferred poll these now; whether one of them was not in hand.

        Raises StoreError.
        """
        return self._store.polls.make_due(self._mailbox, parties, self._clock()) > 0
