"""What an edit would do, as the page shows it: faults at their fields, or letters that move."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from daemon.core.errors import Fault, NotFound
from daemon.core.model import Message
from daemon.core.rights import Grant, Right, UserAccess
from daemon.page.context import Page
from daemon.page.editing.draft import Draft
from daemon.page.editing.trials import LettersMoved, TooManyTrials, Trial
from daemon.page.secret_letters import is_secret
from daemon.page.views.routing.fields import fields_of
from daemon.routing.table import Table

_SHOWN = 5  # letters of a group
_GROUPS = 50
_KEY = re.compile(r"(?P<kind>\w+)\[(?P<number>\d+)\]\.?(?P<rest>.*)")


@dataclass(frozen=True, kw_only=True)
class ShownFault:
    """A fault, and the field where it is shown; empty if it is in another row."""

    fault: Fault
    field: str = ""


@dataclass(frozen=True, kw_only=True)
class ShownGroup:
    """Letters that move, and some of them that the user may see."""

    group: LettersMoved
    letters: Sequence[Message]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a draft would do."""

    state: str = "none"
    """none, faulty, busy, failed, lost, running or done."""
    trial: Trial | None = None
    faults: Sequence[ShownFault] = ()
    warnings: Sequence[Fault] = ()
    groups: Sequence[ShownGroup] = ()
    more: int = 0
    """Groups that are not shown."""

    def at(self, field_id: str) -> Sequence[ShownFault]:
        """Return the faults of a field."""
        return [each for each in self.faults if each.field == field_id]

    @property
    def elsewhere(self) -> Sequence[ShownFault]:
        """The faults that are at no field of the form."""
        return [each for each in self.faults if not each.field]


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A draft, and the row that is in the form, if any."""

    draft: Draft
    kind: str = ""
    number: int | None = None
    """Which row of its kind, beginning with 0."""
    faults: Sequence[Fault] = ()
    """What keeps the form from being put into the draft."""


def try_out(page: Page, user: UserAccess, edited: Edited, seconds: float) -> Effect:
    """Check an edit and begin its dry run; wait for the result at most so long."""
    workshop = page.workshop
    if edited.faults:
        return faulty(edited)
    found = workshop.check(edited.draft.text)
    if found.table is None:
        return Effect(state="faulty", faults=[_placed(each, edited) for each in found.faults])
    return _tried(page, user, found.table, edited.draft.base, seconds)


def faulty(edited: Edited) -> Effect:
    """Return the effect of a form that cannot be put into the draft."""
    first = fields_of(edited.kind)[0].id
    shown = [ShownFault(fault=each, field=first) for each in edited.faults]
    return Effect(state="faulty", faults=shown)


def _tried(page: Page, user: UserAccess, after: Table, base: str, seconds: float) -> Effect:
    workshop = page.workshop
    try:
        present, limits = workshop.present(base), tried_within(user)
        trial = workshop.trials.start(user.name, present, after, page.clock(), limits)
    except TooManyTrials:
        return Effect(state="busy")
    trial.wait(seconds)
    return effect_of(page, user, trial, after.warnings)


def tried_within(user: UserAccess) -> Sequence[Grant] | None:
    """Return the grants within which letters are tried for a user; None if those are all."""
    return None if user.may_with_all(Right.DRAFT) else user.limits(Right.DRAFT)


def effect_of(page: Page, user: UserAccess, trial: Trial, warnings: Sequence[Fault] = ()) -> Effect:
    """Return a dry run as it stands now."""
    if not trial.is_done:
        return Effect(state="running", trial=trial, warnings=warnings)
    if trial.outcome is None:
        return Effect(state="failed", trial=trial)
    groups = trial.outcome.groups
    return Effect(
        state="done",
        trial=trial,
        warnings=warnings,
        groups=[
            ShownGroup(group=each, letters=list(_seen(page, user, each)))
            for each in groups[:_GROUPS]
        ],
        more=max(0, len(groups) - _GROUPS),
    )


def _seen(page: Page, user: UserAccess, group: LettersMoved) -> Iterator[Message]:
    """Yield the newest letters of a group that the user may see in lists; never a secret one."""
    shown = 0
    for key in group.samples:
        if shown == _SHOWN:
            return
        if (found := seen_letter(page, user, key, Right.LIST)) is not None:
            shown += 1
            yield found


def seen_letter(page: Page, user: UserAccess, key: UUID, right: Right) -> Message | None:
    """Return a letter for which the user has the right; None if there is none, or it is secret."""
    try:
        message = page.store.queries.message_by_id(key)
    except NotFound:
        return None  # deleted meanwhile
    letter = page.store.decisions.decided(key)
    is_seen = user.may_with(right, message.party, letter.decision.recipients)
    return message if is_seen and not is_secret(message) else None


def _placed(fault: Fault, edited: Edited) -> ShownFault:
    """Return a fault with the field of the form that it is about."""
    found = _KEY.fullmatch(fault.key)
    if not found or edited.number is None or found["kind"] != edited.kind:
        return ShownFault(fault=fault)
    if int(found["number"]) != edited.number + 1:
        return ShownFault(fault=fault)
    return ShownFault(fault=fault, field=_field_id(edited.kind, found["rest"]))


def _field_id(kind: str, key: str) -> str:
    """Return the field of a key such as `senders[1]`; the first one for a fault of the row."""
    plain = key.partition("[")[0]
    known: Mapping[str, str] = {each.key: each.id for each in fields_of(kind)}
    return known.get(plain) or next(iter(known.values()))
