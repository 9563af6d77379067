"""By when a letter wants an answer, and how that is known. Pure.

A deadline is a fact with its source, and no legal advice: what a law or a decision says of a term
is for people to read, and one of them confirms it. A person's word holds before all others; then
the earlier one of what the sender wrote and of what the routing table computes; last the default
of a sending system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from daemon.core.times import NORWAY, in_utc, norwegian_day, shifted
from daemon.core.working_days import Term, day_after_working_days, working_days_between

SENDER_DEFAULT = timedelta(days=7)
"""After the publish time: what eFormidling writes as dueDateTime of every letter by itself."""
_LAST_MOMENT = time(23, 59, 59)
_MORNING = time(7)  # in Norway, when people can still plan their day
_WEEK = timedelta(days=7)
_FAR = timedelta(days=400)
"""Senders write 9999-12-31, and days are counted one by one."""


class DeadlineSource(StrEnum):
    """How a deadline is known."""

    SENDER = "sender"  # the sender wrote it
    SENDER_DEFAULT = "sender-default"  # the sending system wrote it by itself
    COMPUTED = "computed"  # by a route's `respond_within`
    CONFIRMED = "confirmed"  # a person has read the letter


class DeskGroup(StrEnum):
    """When a deadline is, for those who plan; weeks begin on Monday."""

    OVERDUE = "overdue"
    THIS_WEEK = "this-week"
    NEXT_WEEK = "next-week"
    LATER = "later"


class DeadlineState(StrEnum):
    """What a person has answered for a letter's deadline."""

    CONFIRMED = "confirmed"  # it is due then
    DROPPED = "dropped"  # nothing is due
    HANDLED = "handled"  # what was due is done


@dataclass(frozen=True, kw_only=True)
class LetterDeadline:
    """A deadline, and how it is known."""

    due_at: datetime
    source: DeadlineSource
    reason: str = ""
    """Of a computed one, the term of the table; of a confirmed one, the person's note."""
    by: str = ""
    """Who confirmed it."""
    set_at: datetime | None = None
    """When it was confirmed."""

    @property
    def is_urgent(self) -> bool:
        """Whether it says something: the default of a sending system does not."""
        return self.source is not DeadlineSource.SENDER_DEFAULT


@dataclass(frozen=True, kw_only=True)
class DeadlineWord:
    """What a person has said of a letter's deadline; `due_at` only if it was confirmed."""

    state: DeadlineState
    by: str
    at: datetime
    due_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class DeadlineFacts:
    """All that is known of a letter's deadline; `words` in their order."""

    published_at: datetime
    requested_at: datetime | None = None
    due_at: datetime | None = None
    respond_by: datetime | None = None
    respond_within: str = ""
    words: Sequence[DeadlineWord] = ()

    @property
    def known(self) -> list[LetterDeadline]:
        """Every deadline that somebody or something has named, the strongest first."""
        named = [self._confirmed, *sorted(self._written(), key=_strength)]
        return [each for each in named if each]

    @property
    def holds(self) -> LetterDeadline | None:
        """The one that holds; None if nothing is due, by what a person said or by nature."""
        return None if self.is_dropped else self.last

    @property
    def last(self) -> LetterDeadline | None:
        """The one that holds, or that held until a person said that nothing is due."""
        return next(iter(self.known), None)

    @property
    def is_dropped(self) -> bool:
        """Whether a person said that nothing is due."""
        return self.dropped is not None

    @property
    def dropped(self) -> DeadlineWord | None:
        """Who said that nothing is due; None if somebody has named a deadline since."""
        said = self._said
        return said if said and said.state is DeadlineState.DROPPED else None

    @property
    def handled(self) -> DeadlineWord | None:
        """Who said that what was due is done; None if somebody has named a deadline since."""
        last = self.words[-1] if self.words else None
        return last if last and last.state is DeadlineState.HANDLED else None

    @property
    def _said(self) -> DeadlineWord | None:
        named = [each for each in self.words if each.state is not DeadlineState.HANDLED]
        return named[-1] if named else None

    @property
    def _confirmed(self) -> LetterDeadline | None:
        dated = [each for each in self.words if each.state is DeadlineState.CONFIRMED]
        last = dated[-1] if dated else None
        if last is None or last.due_at is None:
            return None
        return LetterDeadline(
            due_at=last.due_at,
            source=DeadlineSource.CONFIRMED,
            reason=last.note,
            by=last.by,
            set_at=last.at,
        )

    def _written(self) -> list[LetterDeadline]:
        found = []
        if self.due_at:
            found.append(LetterDeadline(due_at=self.due_at, source=self._source_of_sender()))
        if self.respond_by:
            found.append(
                LetterDeadline(
                    due_at=self.respond_by,
                    source=DeadlineSource.COMPUTED,
                    reason=self.respond_within,
                )
            )
        return found

    def _source_of_sender(self) -> DeadlineSource:
        begins = (self.published_at, self.requested_at)
        by_itself = {in_utc(shifted(each, SENDER_DEFAULT)) for each in begins if each}
        assert self.due_at
        is_default = in_utc(self.due_at) in by_itself
        return DeadlineSource.SENDER_DEFAULT if is_default else DeadlineSource.SENDER


def _strength(deadline: LetterDeadline) -> tuple[bool, datetime]:
    return not deadline.is_urgent, in_utc(deadline.due_at)


def end_of_day(day: date) -> datetime:
    """Return the last second of a day in Norway, in UTC: until then, what is due that day is."""
    return in_utc(datetime.combine(day, _LAST_MOMENT, NORWAY))


def end_of_written_day(text: str) -> datetime | None:
    """Return the end of a day, written as `2026-12-24` or `24.12.2026`; None for anything else."""
    for form in ("%Y-%m-%d", "%d.%m.%Y"):
        try:
            return end_of_day(datetime.strptime(text, form).replace(tzinfo=NORWAY).date())
        except ValueError:
            continue
    return None


def respond_by(published_at: datetime, term: Term) -> datetime:
    """Return when a term that begins with the publishing ends.

    One in days ends with its last day in Norway; a shorter one to the second.
    """
    end = term.after(published_at)
    is_in_days = term.working_days or term.elapsed >= timedelta(days=1)
    return end_of_day(norwegian_day(end)) if is_in_days else end


def warn_at(due_at: datetime, step: Term) -> datetime:
    """Return when to warn so long before a deadline.

    A step in days is taken in the morning of its day in Norway, a shorter one to the second.
    """
    if not step.working_days and step.elapsed < timedelta(days=1):
        return step.before(due_at)
    day = (
        day_after_working_days(norwegian_day(due_at), -step.working_days)
        if step.working_days
        else norwegian_day(step.before(due_at))
    )
    return in_utc(datetime.combine(day, _MORNING, NORWAY))


def due_warning(due_at: datetime, steps: Sequence[Term], now: datetime) -> Term | None:
    """Return the last step that is to be taken by now; None before the first, and once it is due.

    Earlier ones that were not taken, as of a letter that came late, are left out.
    """
    if now >= due_at:
        return None
    taken = [each for each in steps if warn_at(due_at, each) <= now]
    return max(taken, key=lambda each: warn_at(due_at, each), default=None)


def workdays_left(due_at: datetime, now: datetime) -> int:
    """Return how many working days in Norway come after today, up to and with the day it is due.

    Negative if that day is past. What is more than 400 days away counts as if it were 400.
    """
    today, day = norwegian_day(now), norwegian_day(due_at)
    near = max(today - _FAR, min(day, today + _FAR))
    return working_days_between(today, near)


def group_of(due_at: datetime, now: datetime) -> DeskGroup:
    """Return when a deadline is."""
    for group, end in group_ends(now):
        if in_utc(due_at) < in_utc(end):
            return group
    return DeskGroup.LATER


def group_ends(now: datetime) -> list[tuple[DeskGroup, datetime]]:
    """Return when each group but the last ends: its deadlines are before that."""
    today = norwegian_day(now)
    monday = today + _WEEK - timedelta(days=today.weekday())
    return [
        (DeskGroup.OVERDUE, now),
        (DeskGroup.THIS_WEEK, _midnight(monday)),
        (DeskGroup.NEXT_WEEK, _midnight(monday + _WEEK)),
    ]


def _midnight(day: date) -> datetime:
    return in_utc(datetime.combine(day, time(), NORWAY))
