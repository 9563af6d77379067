"""What is wrong, as one user may know of it.

Those who operate all letters see everything. For others it is worked out from what is within their
limits: nothing that they see depends on a letter, a delivery or an organisation of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from uuid import UUID

from daemon.core.bookkeeping import SkippedLetter
from daemon.core.errors import NotFound
from daemon.core.model import DeliveryState, SightingState
from daemon.core.rights import Right, UserAccess
from daemon.monitoring.coverage_problems import of_coverage
from daemon.monitoring.health import Health, assess
from daemon.monitoring.problem import Problem
from daemon.monitoring.reading import of_mailboxes
from daemon.monitoring.running import NOT_RUNNING, UNSEEN
from daemon.page.context import Page
from daemon.page.deliveries.shown import limits

_OF_MACHINE = frozenset(
    {
        UNSEEN,
        "clock",
        "disk",
        "edit",
        "endpoint",
        "expiry",
        "lock",
        "log",
        "pickup",
        "resources",
        "stalled",
        "storage",
        "watch",
        "wrong-token",
    }
)
"""Kinds of problems that say nothing of letters, so every operator may know of them."""
_OF_CHANNELS = frozenset({"silence", "rights", "unread"})


def sees_all(user: UserAccess) -> bool:
    """Whether the user may know of all that the service does: without limits."""
    return user.may_with_all(Right.OPERATE) or user.may_with_all(Right.ADMINISTER)


def health_for(page: Page, user: UserAccess, now: datetime) -> Health:
    """Return how everything is that the user may know of. Raises StoreError."""
    health = assess(page.configuration, page.store, now, page.edited.faults())
    if sees_all(user):
        return health
    found = list(_own(page, user, health, now))
    return Health(
        problems=sorted(
            (each for each in found if not each.passing), key=lambda each: not each.critical
        ),
        passing=[each for each in found if each.passing],
    )


def _own(page: Page, user: UserAccess, health: Health, now: datetime) -> Iterator[Problem]:
    if page.is_stopped():  # the same problem of `health` depends on what waits
        yield Problem(kind=NOT_RUNNING, about="", text="The service is not running", critical=False)
    for each in (*health.problems, *health.passing):
        if is_of_machine(each.kind) or _concerns(page, user, each):
            yield each
    yield from _stopped_or_held(page, user)
    yield from _of_mailboxes(page, user, now)
    yield from of_coverage(page.configuration, page.store, partial(operates_all_of, user))


def is_of_machine(kind: str) -> bool:
    """Whether a kind of problem or alert says nothing of letters."""
    return kind in _OF_MACHINE


def _stopped_or_held(page: Page, user: UserAccess) -> Iterator[Problem]:
    counts = own_counts(page, user)
    for (destination, state), count in counts.items():
        if state is DeliveryState.DEAD and count:
            yield Problem(kind="dead", about=destination, where=destination, count=count, text="")
        elif state is DeliveryState.HELD and count:
            yield Problem(
                kind="held",
                about=destination,
                where=destination,
                count=count,
                text="",
                critical=False,
                passing=True,
            )


def own_counts(page: Page, user: UserAccess) -> Mapping[tuple[str, DeliveryState], int]:
    """Count the deliveries that have not ended and that the user operates."""
    return page.store.delivery_list.counts(limits(user).limits)


def _concerns(page: Page, user: UserAccess, problem: Problem) -> bool:
    """Whether a problem is about one letter or one delivery, which the user operates."""
    if problem.kind == "incomplete":
        return operates_letter(page, user, UUID(problem.about))
    if problem.kind == "rejected":
        return bool(page.store.delivery_list.rows([UUID(problem.about)], limits(user)))
    return False


def operates_letter(page: Page, user: UserAccess, key: UUID) -> bool:
    """Whether the user operates a stored letter."""
    try:
        found = page.store.decisions.decided(key)
    except NotFound:  # deleted meanwhile
        return False
    return user.may_with(Right.OPERATE, found.message.party, found.decision.recipients)


def operates_party(user: UserAccess, party: str) -> bool:
    """Whether the user operates what is for this organisation, or some of it."""
    grants = user.limits(Right.OPERATE)
    return any(not each.parties or party in each.parties for each in grants)


def operates_all_of(user: UserAccess, party: str) -> bool:
    """Whether the user operates all that is for this organisation, whoever gets it."""
    return sees_all(user) or user.may_with(Right.OPERATE, party, ())


def own_sightings(page: Page, user: UserAccess, state: SightingState) -> list[SkippedLetter]:
    """Return the letters in Altinn that are not stored, of the organisations of the user.

    None has a recipient yet, so those who are limited to recipients know of none.
    """
    rights = (Right.OPERATE, Right.CONFIDENTIAL)
    return [
        each
        for each in page.store.queries.sightings(state)
        if any(user.may_with(right, each.party, ()) for right in rights)
    ]


def _of_mailboxes(page: Page, user: UserAccess, now: datetime) -> Iterator[Problem]:
    bookmarks = [
        each for each in page.store.queries.bookmarks() if operates_party(user, each.party)
    ]
    mine = {each.mailbox for each in bookmarks}
    for each in of_mailboxes(page.configuration, page.store, bookmarks, now):
        # the organisations that are new are all those of the configuration
        if each.kind in _OF_CHANNELS and each.where in mine and not each.about.endswith(" new"):
            yield each
    unfetched: dict[str, list[SkippedLetter]] = {}
    for letter in own_sightings(page, user, SightingState.FAILING):
        unfetched.setdefault(letter.mailbox, []).append(letter)
    for mailbox, letters in unfetched.items():
        yield Problem(
            kind="unfetched",
            about=mailbox,
            where=mailbox,
            count=len(letters),
            since=min(each.failing_since or each.first_seen_at for each in letters),
            text="",
            critical=False,
        )
