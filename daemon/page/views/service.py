"""Operation: everything that `status` says, for people, and the configuration without secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.bookkeeping import Bookmark
from daemon.core.model import SightingState
from daemon.core.rights import Right, UserAccess
from daemon.monitoring import late
from daemon.monitoring.expiry import expiries
from daemon.monitoring.health import assess
from daemon.monitoring.notified import is_due
from daemon.monitoring.problems import free_space
from daemon.page.configuration_facts import sections
from daemon.page.context import Page, page_of, require
from daemon.page.problem_links import shown
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
    health = assess(configuration, page.store, now, faults)
    return page.render(
        request,
        "service/service.html",
        health=health,
        problems=[shown(each) for each in health.problems],
        passing=[shown(each) for each in health.passing],
        letters=_letters(page, user, now),
        mailboxes=_mailboxes(page, user),
        expiries=expiries(configuration),
        now=now,
        disks=free_space(configuration),
        alerts=_alerts(page, now),
        faults=faults,
        standing=standing,
        is_edited=_is_edited(configuration.path, configuration.text),
        sections=list(sections(configuration)),
    )


def _letters(page: Page, user: UserAccess, now: datetime) -> Mapping[str, object]:
    """Return what `status` counts, and names of the letters that the user operates."""
    counts = page.store.queries.counts()
    failing = page.store.queries.sightings(SightingState.FAILING)
    incomplete = page.store.queries.incomplete(limit=_SHOWN)
    if not _operates_all(user):
        incomplete = [
            each
            for each in incomplete
            if _operates(user, page.store.queries.message_by_id(each.message_id).party)
        ]
    return {
        "counts": counts,
        "failing": [each for each in failing if _operates(user, each.party)][:_SHOWN],
        "incomplete": incomplete,
        "marks": page.store.marks.outstanding(),
        "holds": page.store.retention.held(),
        "not_taken": len(late.not_taken(page.configuration, page.store, now)),
    }


def _mailboxes(page: Page, user: UserAccess) -> Sequence[ShownMailbox]:
    """Return every mailbox with the channels of the organisations that the user operates."""
    mine = [
        each
        for each in page.store.queries.bookmarks()
        if not each.retired_at and _operates(user, each.party)
    ]
    names = [each.name for each in page.configuration.mailboxes]
    return [_mailbox(name, [each for each in mine if each.mailbox == name]) for name in names]


def _operates(user: UserAccess, party: str) -> bool:
    """Whether the user operates what is for this organisation."""
    grants = user.limits(Right.OPERATE)
    return any(not each.parties or party in each.parties for each in grants)


def _operates_all(user: UserAccess) -> bool:
    return any(not each.parties for each in user.limits(Right.OPERATE))


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


def _alerts(page: Page, now: datetime) -> Sequence[Mapping[str, object]]:
    to = page.configuration.alerts.to
    return [
        {"alert": each, "not_told": [name for name in to if is_due(each, name, now)]}
        for each in islice(page.store.alerts.all(), _SHOWN)
    ]


def _is_edited(path: Path, text: str) -> bool:
    """Whether the configuration file is another than the one that the page has read."""
    try:
        return path.read_text(encoding="utf-8-sig") != text.removeprefix("\ufeff")
    except (OSError, ValueError):
        return True
