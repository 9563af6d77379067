"""The ladder: who is told of a letter that nobody has acknowledged, and when. Pure.

When the time is up, the recipients' members and their deputy are told, after the same time again
the manager, then the last resort. Covers apply to everyone. A step without people is left out, so
the next one takes its place; if all steps are empty, the keepers of the routing table are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from daemon.core.awaited import LadderStep
from daemon.core.working_days import Term
from daemon.routing.decide import covering, soonest
from daemon.routing.facts import Facts
from daemon.routing.rows import Recipient
from daemon.routing.table import Table

MOST_ROUNDS = 10
"""How often one step is told of a letter at most, so that each ladder ends."""
_ON_TIME = timedelta(minutes=5)
"""Within this after its time, a step counts as taken at its time."""


@dataclass(frozen=True, kw_only=True)
class Directory:
    """Who can be told by mail. Whoever has left is not in it."""

    addresses: Mapping[str, str]
    """The mail addresses of users, by user name."""
    left: frozenset[str] = frozenset()
    """The names and addresses of users who have left, in lower case."""
    keepers: tuple[str, ...] = ()
    """The users who keep the routing table."""
    languages: Mapping[str, str] = field(default_factory=dict)
    """The languages of users, by user name."""

    def language(self, person: str, usual: str) -> str:
        """Return the language of a user of the page; of others the `usual` one."""
        return self.languages.get(person.strip().lower()) or usual

    def address(self, person: str) -> str | None:
        """Return where a person is told; None if they have left or have no known address."""
        name = person.strip().lower()
        if not name or name in self.left:
            return None
        found = self.addresses.get(name, name if "@" in name else "")
        return found if found and found.lower() not in self.left else None


@dataclass(frozen=True, kw_only=True)
class WaitingLetter:
    """A letter that waits for a person."""

    begun_at: datetime
    within: Term
    recipients: tuple[str, ...]
    """Before delegation."""
    service: str
    confidential: bool
    rejected_at: datetime | None = None
    """When a person rejected it, if that holds."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A step that has been taken."""

    first_at: datetime
    last_at: datetime
    rounds: int


@dataclass(frozen=True, kw_only=True)
class DueStep:
    """Persons to be told now, with their addresses."""

    step: LadderStep
    round: int
    people: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is due now, and when to look again; None if nothing will ever be due."""

    due: tuple[DueStep, ...]
    look_at: datetime | None


def plan(
    letter: WaitingLetter,
    taken: Mapping[LadderStep, Taken],
    table: Table,
    directory: Directory,
    now: datetime,
) -> Plan:
    """Return what is due. At most one new step is, so that each has its time."""
    due: list[DueStep] = []
    looks: list[datetime] = []
    every = soonest((each.remind_every for each in _recipients(table, letter, now)), now)
    at = letter.rejected_at or letter.within.after(letter.begun_at)
    for step, people in _steps(letter, taken, table, directory, now):
        before = taken.get(step)
        if before:
            if every and people and before.rounds < MOST_ROUNDS:
                again = every.after(before.last_at)
                if again <= now:
                    due.append(DueStep(step=step, round=before.rounds, people=people))
                    again = every.after(now)
                looks.append(again)
            on_time = before.first_at - at <= _ON_TIME
            at = letter.within.after(at if on_time else before.first_at)
            continue
        if at <= now:
            due.append(DueStep(step=step, round=0, people=people))
            at = now + timedelta(minutes=1)  # for the next step to be looked at
        looks.append(at)
        break
    return Plan(due=tuple(due), look_at=min(looks, default=None))


def _steps(
    letter: WaitingLetter,
    taken: Mapping[LadderStep, Taken],
    table: Table,
    directory: Directory,
    now: datetime,
) -> Iterator[tuple[LadderStep, Mapping[str, str]]]:
    """Yield the steps that have somebody, or have been taken, in order."""
    found = {
        step: _reachable(people, directory)
        for step, people in _people(letter, table, directory, now).items()
    }
    if letter.rejected_at:
        told = next((each for each in reversed(found.values()) if each), {})
        if told or LadderStep.REJECTED in taken:
            yield LadderStep.REJECTED, told
        return
    others = [step for step in found if step is not LadderStep.KEEPERS and found[step]]
    for step, people in found.items():
        if step in taken or (people and (step is not LadderStep.KEEPERS or not others)):
            yield step, people


def _people(
    letter: WaitingLetter, table: Table, directory: Directory, now: datetime
) -> dict[LadderStep, list[str]]:
    asked = _recipients(table, letter, now)
    deputies = _by_name(
        table,
        letter,
        [name for each in asked for name in (each.deputy,) if name],
        now,
    )
    last = [each for each in table.recipients.values() if each.last_resort]
    return {
        LadderStep.DEPUTY: [who for each in (*asked, *deputies) for who in _members(each)],
        LadderStep.MANAGER: [each.manager for each in asked],
        LadderStep.LAST_RESORT: [who for each in last for who in (*_members(each), each.manager)],
        LadderStep.KEEPERS: list(directory.keepers),
    }


def responsible(
    recipients: Iterable[str],
    table: Table,
    directory: Directory,
    facts: Facts,
    answered_by: str = "",
) -> Mapping[str, str]:
    """Return who is to be warned of a letter's deadline, by name with their address.

    That is who has acknowledged it, if they can be told, or else the members of its `recipients`
    (before delegation), or their manager; `facts` say when, and what covers depend on.
    """
    if answered_by and (person := _reachable([answered_by], directory)):
        return person
    known = tuple(name for name in recipients if name in table.recipients)
    asked = [table.recipients[name] for name in covering(table, facts, known)]
    members = _reachable([who for each in asked for who in each.members], directory)
    return members or _reachable([each.manager for each in asked if each.members], directory)


def _members(recipient: Recipient) -> Sequence[str]:
    return recipient.members or (recipient.email,)


def _recipients(table: Table, letter: WaitingLetter, now: datetime) -> list[Recipient]:
    """Return those whose letter it is now, after covers."""
    return _by_name(table, letter, letter.recipients, now)


def _by_name(
    table: Table, letter: WaitingLetter, names: Iterable[str], now: datetime
) -> list[Recipient]:
    facts = Facts(service=letter.service, at=now, confidential=letter.confidential)
    known = tuple(name for name in names if name in table.recipients)
    return [table.recipients[name] for name in covering(table, facts, known)]


def _reachable(people: Iterable[str], directory: Directory) -> dict[str, str]:
    """Return those who can be told, by name with their address, each address once."""
    found: dict[str, str] = {}
    for person in people:
        address = directory.address(person)
        if address and address.lower() not in {each.lower() for each in found.values()}:
            found[person] = address
    return found
