"""Operation: everything that `status` says, for people, and the configuration without secrets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.bookkeeping import Alert, Bookmark
from daemon.core.model import SightingState
from daemon.core.rights import Right, UserAccess
from daemon.monitoring import late
from daemon.monitoring.expiry import expiries
from daemon.monitoring.notified import is_due
from daemon.monitoring.problem import Problem, split_key
from daemon.monitoring.problems import free_space
from daemon.page.configuration_facts import sections
from daemon.page.context import Page, page_of, require
from daemon.page.problem_links import shown
from daemon.page.problems_of_user import (
    health_for,
    is_of_machine,
    operates_letter,
    operates_party,
    own_sightings,
)
from daemon.page.search.query import LetterQuery
from daemon.service.standing import routing_standing

_SHOWN = 200  # channels of a mailbox, letters and alerts


@dataclass(frozen=True, kw_only=True)
class ShownMailbox:
    """A mailbox, with its channels: those that cannot be read first."""

    name: str
    channels: Sequence[Bookmark]
    """The first of those that the configuration names."""
    count: int
    organisations: int
    failing: int
    refused: int
    presumed: int
    """Channels whose resource was only presumed, and which cannot be read: that is no problem."""
    read_at: datetime | None


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/service", show)]


def show(request: Request) -> Response:
    """Show how the service, its mailboxes and its files stand."""
    page, user = page_of(request), require(request, Right.OPERATE)
    now, configuration = page.clock(), page.configuration
    standing = routing_standing(configuration, page.store)
    faults = page.edited.faults()
    health = health_for(page, user, now)
    return page.render(
        request,
        "service/service.html",
        health=health,
        problems=[shown(each) for each in health.problems],
        passing=[shown(each) for each in health.passing],
        sees_all=user.may_with_all(Right.OPERATE),
        letters=_letters(page, now) if user.may_with_all(Right.OPERATE) else _own(page, user),
        mailboxes=_mailboxes(page, user),
        expiries=expiries(configuration),
        now=now,
        disks=free_space(configuration),
        alerts=_alerts(page, user, now),
        faults=faults,
        standing=standing,
        is_edited=_is_edited(configuration.path, configuration.text),
        sections=list(sections(configuration)) if user.may_with_all(Right.OPERATE) else [],
    )


def _letters(page: Page, now: datetime) -> Mapping[str, object]:
    """Return what `status` counts."""
    counts = page.store.queries.counts()
    return {
        "messages": counts.messages,
        "sightings": counts.sightings,
        "last_message_at": counts.last_message_at,
        "oldest_undelivered_at": counts.oldest_undelivered_at,
        "failing": page.store.queries.sightings(SightingState.FAILING)[:_SHOWN],
        "incomplete": page.store.queries.incomplete(limit=_SHOWN),
        "marks": page.store.marks.outstanding(),
        "holds": page.store.retention.held(),
        "not_taken": len(late.not_taken(page.configuration, page.store, now)),
    }


def _own(page: Page, user: UserAccess) -> Mapping[str, object]:
    """Return the same of the letters that the user operates, as far as it can be told apart."""
    limits = user.limits(Right.OPERATE)
    failing = own_sightings(page, user, SightingState.FAILING)
    waiting = own_sightings(page, user, SightingState.WAITING)
    newest = page.finder.find(LetterQuery(), limits, limit=1)
    incomplete = page.store.queries.incomplete()
    mine = (each for each in incomplete if operates_letter(page, user, each.message_id))
    return {
        "messages": page.finder.total(LetterQuery(), limits),
        "sightings": Counter(
            {SightingState.FAILING: len(failing), SightingState.WAITING: len(waiting)}
        ),
        "last_message_at": newest[0].fetched_at if newest else None,
        "oldest_undelivered_at": None,
        "failing": failing[:_SHOWN],
        "incomplete": list(islice(mine, _SHOWN)),
        "marks": 0,
        "holds": 0,
        "not_taken": 0,
    }


def _mailboxes(page: Page, user: UserAccess) -> Sequence[ShownMailbox]:
    """Return every mailbox with the channels of the organisations that the user operates."""
    mine = [
        each
        for each in page.store.queries.bookmarks()
        if not each.retired_at and operates_party(user, each.party)
    ]
    names = [each.name for each in page.configuration.mailboxes]
    return [_mailbox(name, [each for each in mine if each.mailbox == name]) for name in names]


def _mailbox(name: str, channels: Sequence[Bookmark]) -> ShownMailbox:
    worst_first = sorted(
        channels, key=lambda each: (not each.failing_since, not _is_refused(each), not each.refused)
    )
    return ShownMailbox(
        name=name,
        channels=worst_first[:_SHOWN],
        count=len(channels),
        organisations=len({each.party for each in channels}),
        failing=sum(bool(each.failing_since) for each in channels),
        refused=sum(map(_is_refused, channels)),
        presumed=sum(each.refused and not _is_refused(each) for each in channels),
        read_at=max((each.succeeded_at for each in channels if each.succeeded_at), default=None),
    )


def _is_refused(channel: Bookmark) -> bool:
    """Whether a right is missing without which letters are lost sight of."""
    return channel.refused and (channel.begun or channel.failing_since is not None)


def _alerts(page: Page, user: UserAccess, now: datetime) -> Sequence[Mapping[str, object]]:
    """Return the alerts; to those who do not operate all letters, none that is about letters."""
    to = page.configuration.alerts.to
    every = page.store.alerts.all()
    if not user.may_with_all(Right.OPERATE):
        every = [each for each in every if is_of_machine(each.kind)]
    return [
        {
            "alert": each,
            "problem": _problem_of(each),
            "not_told": [name for name in to if is_due(each, name, now)],
        }
        for each in islice(every, _SHOWN)
    ]


def _problem_of(alert: Alert) -> Problem:
    """Return the problem that an alert is about, as far as its key says."""
    about, _ = split_key(alert.kind, alert.key)
    return Problem(kind=alert.kind, about=about, where=about, text=alert.text)


def _is_edited(path: Path, text: str) -> bool:
    """Whether the configuration file is another than the one that the page has read."""
    try:
        return path.read_text(encoding="utf-8-sig") != text.removeprefix("\ufeff")
    except (OSError, ValueError):
        return True
