"""Hands over what somebody holds who leaves: one preview, one action, one event.

For the command line and the page, which put the table in force each in its own way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

from daemon.core.accounts import known_as
from daemon.core.errors import NotFound, OperatorError
from daemon.core.rights import Right
from daemon.core.spelling import did_you_mean
from daemon.core.times import norwegian_day
from daemon.intake.rerouting import Rerouter
from daemon.page.editing.document import TableDocument
from daemon.page.editing.draft import Draft
from daemon.routing.holdings import (
    Holding,
    HoldingKind,
    RowEdit,
    Rows,
    edits,
    people_of,
    recipients_of,
)
from daemon.routing.table import Table
from daemon.store import Actor, Store

_DUE_SINCE = timedelta(days=365)
_KINDS = ("recipient", "route", "delegation")


@dataclass(frozen=True, kw_only=True)
class HandOver:
    """What `name` holds, and the table in which `to` has it."""

    name: str
    to: str
    holds: Sequence[Holding]
    draft: Draft
    letters: Sequence[UUID]
    """Letters of the recipient that is handed over, which are the other's then."""
    lacking: Sequence[str]
    """Recipients whose letters the other may not receive on the page."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How much it is of each kind."""
        found: Counter[str] = Counter()
        for each in self.holds:
            found[each.kind.value] += each.count
        return dict(found)


@dataclass(frozen=True, kw_only=True)
class HandOvers:
    """Prepares hand-overs of a store and a table's text, and carries them out."""

    store: Store
    text: str
    """The text of the table's file."""
    table: Table
    """What it says."""
    clock: Callable[[], datetime]

    @cached_property
    def _rows(self) -> Mapping[str, Rows]:
        document = TableDocument.of(self.text)
        return {kind: document.rows(kind) for kind in _KINDS}

    def known(self) -> list[str]:
        """Return who can get something: recipients, people of the table, and users."""
        users = [each.name for each in self.store.users.all() if each.disabled_at is None]
        return sorted({*self.table.recipients, *people_of(self._rows["recipient"]), *users})

    def prepare(self, name: str, to: str = "") -> HandOver:
        """Return what somebody holds; with `to`, ready to be carried out.

        Raises NotFound for a name that is not known, and OperatorError for one that cannot get it.
        """
        self._require_known(name)
        if to:
            self._require_able(name, to)
        today = norwegian_day(self.clock())
        found = list(edits(self._rows, name, to or name, today))
        theirs = recipients_of(self._rows["recipient"], name)
        letters, due = self.store.handovers.waiting(theirs), self._due(theirs)
        return HandOver(
            name=name,
            to=to,
            holds=[
                *(each.holding for each in found),
                *self._of_store(name, len(letters), len(due)),
            ],
            draft=Draft(self.text, _edited(self.text, found) if to else self.text),
            letters=[key for key, to_whom in {**letters, **due}.items() if name in to_whom],
            lacking=self._lacking(theirs, to) if to else (),
        )

    def _require_known(self, name: str) -> None:
        users = [each.name for each in self.store.users.all()]
        people = {*people_of(self._rows["recipient"]), *users}
        if name not in self.table.recipients and known_as(name) not in people:
            known = [*self.table.recipients, *people]
            raise NotFound(
                f"{name!r} is neither a user nor in the routing table; "
                + (did_you_mean(name, known) or "`postmottak routes list` shows who is")
            )

    def _require_able(self, name: str, to: str) -> None:
        if known_as(name) == known_as(to):
            raise OperatorError(f"{name} and {to} are the same; name somebody else")
        if name in self.table.recipients and to not in self.table.recipients:
            known = ", ".join(each for each in self.table.recipients if each != name)
            raise OperatorError(
                f"{name} is a recipient, and {to} is not; name one of: {known or 'none'}"
            )
        user = self.store.users.find(to)
        if user is not None and user.disabled_at is not None:
            raise OperatorError(f"The user {to} is disabled; name somebody else")
        if name not in self.table.recipients and user is None and self._only_recipient(to):
            raise OperatorError(f"{to} is a recipient, and {name} is a person; name a person")
        if user is None and "@" not in to and to not in self.known():
            raise NotFound(
                f"{to!r} is neither a user, nor in the routing table, nor an e-mail address; "
                + (did_you_mean(to, self.known()) or "`postmottak web users list` shows users")
            )

    def _only_recipient(self, to: str) -> bool:
        people = people_of(self._rows["recipient"])
        return to in self.table.recipients and known_as(to) not in people

    def _due(self, recipients: frozenset[str]) -> dict[UUID, Sequence[str]]:
        """Return the letters with an open deadline that go to these recipients, and to whom."""
        since = self.clock() - _DUE_SINCE
        return {
            each.id: each.recipients
            for each in (self.store.due_letters.between(since, None) if recipients else ())
            if not each.is_done and not recipients.isdisjoint(each.recipients)
        }

    def _of_store(self, name: str, letters: int, due: int) -> Iterator[Holding]:
        counts = {
            HoldingKind.LETTERS: letters,
            HoldingKind.DEADLINES: due,
            HoldingKind.CALENDARS: self.store.handovers.calendars(name),
        }
        for kind, count in counts.items():
            if count:
                yield Holding(kind=kind, about=name, count=count)

    def _lacking(self, recipients: frozenset[str], to: str) -> list[str]:
        """Return the recipients whose letters a user may not receive; none for other people."""
        access = self.store.users.access(to)
        if access is None:
            return []
        limits = access.limits(Right.RECEIVE)
        return sorted(
            each
            for each in recipients
            if not any(not grant.recipients or each in grant.recipients for grant in limits)
        )

    def finish(self, handed: HandOver, table: Table, by: Actor) -> None:
        """Move letters, revoke calendars, and record the hand-over; may be done again.

        `table` is the one that names the other. Raises OperatorError and StoreError.
        """
        rerouter = Rerouter(store=self.store, table=lambda: table, clock=self.clock)
        if handed.letters:
            self.store.letters.note_table(table.version, table.text, self.clock())
        for each in handed.letters:
            with suppress(NotFound):  # retention deleted it meanwhile
                rerouter.replace(each, handed.name, handed.to)
        now = self.clock()
        self.store.handovers.finish(handed.name, handed.to, now, by, handed.counts)


def _edited(text: str, found: Sequence[RowEdit]) -> str:
    """Return the table's text with the edits; the last rows first, so that numbers stay right."""
    document = TableDocument.of(text)
    for each in sorted(found, key=lambda each: -each.number):
        if each.values is None:
            document = document.removed_at(each.kind, each.number)
        else:
            document = document.changed_at(each.kind, each.number, each.values)
    return document.text
