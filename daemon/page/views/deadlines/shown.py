"""What is shown of a deadline, in lists and in calendars; of a confidential letter no words.

Letters that are not confidential come from the index. The others are few, come from the store, and
are shown only to those who may open them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.core.deadlines import DeskGroup, group_of, workdays_left
from daemon.core.rights import Right, UserAccess
from daemon.page.context import Page
from daemon.page.search.desk import BY_SYSTEM, DeskLetter
from daemon.page.wording import N_
from daemon.store import DueLetter

GROUP_WORDS: Mapping[str, str] = {
    DeskGroup.OVERDUE: N_("Past"),
    DeskGroup.THIS_WEEK: N_("This week"),
    DeskGroup.NEXT_WEEK: N_("Next week"),
    DeskGroup.LATER: N_("Later"),
    BY_SYSTEM: N_("Set by the sender's system"),
}
_CONFIDENTIAL = 500
"""Letters that are looked at, the newest; docs/page.md says so."""


@dataclass(frozen=True, kw_only=True)
class ShownDeadline:
    """A line of the desk."""

    id: UUID
    title: str
    is_confidential: bool
    sender: str
    service: str
    recipients: Sequence[str]
    due_at: datetime
    source: str
    now: datetime
    is_acknowledged: bool
    revision: int
    changed_at: datetime
    is_over: bool = False
    """Whether a person said that nothing is due, or that it is done."""

    @property
    def workdays(self) -> int:
        """How many working days are left; counted only where it is shown."""
        return workdays_left(self.due_at, self.now)


def of_index(found: DeskLetter, now: datetime, *, is_over: bool = False) -> ShownDeadline:
    """Return the line for a letter of the index."""
    letter = found.letter
    return ShownDeadline(
        id=letter.id,
        title=letter.title,
        is_confidential=False,
        sender=letter.sender_name or letter.sender_org,
        service=letter.service,
        recipients=[*letter.recipients, *letter.direct],
        due_at=found.due_at,
        source=letter.due_source,
        now=now,
        is_acknowledged=letter.is_acknowledged,
        revision=found.revision,
        changed_at=found.changed_at,
        is_over=is_over,
    )


def confidential(page: Page, user: UserAccess, recipient: str = "") -> list[ShownDeadline]:
    """Return the lines for confidential letters that the user may open, the earliest first."""
    if not user.may(Right.CONFIDENTIAL):
        return []
    ids = [
        each.id
        for each in page.store.confidential.newest(_CONFIDENTIAL)
        if user.may_with(Right.CONFIDENTIAL, each.party, each.recipients)
        and (not recipient or recipient in each.recipients)
    ]
    found = _open(page.store.due_letters.of(ids), page.clock()) if ids else ()
    return sorted(found, key=lambda each: each.due_at)


def _open(letters: Sequence[DueLetter], now: datetime) -> Iterator[ShownDeadline]:
    for each in letters:
        holds = each.facts.holds
        if holds is None or each.is_done:
            continue
        said = [word.at for word in each.facts.words]
        yield ShownDeadline(
            id=each.id,
            title="",
            is_confidential=True,
            sender="",
            service=each.service,
            recipients=each.recipients,
            due_at=holds.due_at,
            source=holds.source.value,
            now=now,
            is_acknowledged=bool(each.acknowledged_by),
            revision=len(said),
            changed_at=max(each.fetched_at, *said) if said else each.fetched_at,
        )


def group_shown(line: ShownDeadline, now: datetime) -> str:
    """Return the group of a line."""
    return BY_SYSTEM if line.source == BY_SYSTEM else group_of(line.due_at, now).value
