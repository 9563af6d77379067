"""What is wrong now, for alerts, status and monitors. Without titles, contents or names of persons.

The cost depends on what is waiting, never on what is stored and delivered.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from daemon.config.loader import Configuration
from daemon.core.bookkeeping import (
    CLOCK,
    COLLISION,
    SEEN_BY_SERVICE,
    Bookmark,
    SkippedLetter,
)
from daemon.core.errors import Fault
from daemon.core.model import DeliveryState
from daemon.core.settings import duration_text
from daemon.monitoring.expiry import certificates, keys
from daemon.monitoring.late import not_taken, unfetched, unread
from daemon.runtime.clock import WRONG, is_behind
from daemon.store import Store

_HAPPENED_WITHIN = timedelta(days=7)  # how long to show what happened once and cannot end
_HAPPENED_AT_MOST = 50
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    kind: str
    about: str
    """What is affected: a destination, a channel, a file. Two problems with the same kind and the
    same `about` are the same problem.
    """
    text: str
    critical: bool = True

    @property
    def key(self) -> str:
        """Return what identifies it."""
        return f"{self.kind} {self.about}".strip()


def find_problems(
    configuration: Configuration,
    store: Store,
    now: datetime,
    faults: Sequence[Fault] = (),
    of_service: Sequence[Problem] | None = None,
) -> list[Problem]:
    """Return everything that is wrong. Raises StoreError.

    `faults` are those of an edit that was ignored. `of_service` is what only the running service
    knows (`ServiceProblems`); other processes leave it out, and get what the service has stored.
    """
    bookmarks = store.queries.bookmarks()
    return [
        *_silent(configuration, bookmarks, now),
        *_refused(configuration, bookmarks),
        *_unread(configuration, bookmarks, now),
        *_unfetched(configuration, store, bookmarks, now),
        *_incomplete(configuration, store, now),
        *_untold(configuration, store, now),
        *_undelivered(configuration, store, now),
        *_dead(store),
        *_not_taken(configuration, store, now),
        *_rejected(store, now),
        *_collided(store, now),
        *_expiring(configuration, now),
        *_full(configuration),
        *_faulty(faults),
        *(_stored_of_service(store, now) if of_service is None else of_service),
    ]


def _silent(
    configuration: Configuration, bookmarks: Sequence[Bookmark], now: datetime
) -> Iterator[Problem]:
    limit = configuration.alerts.silent_after
    for mailbox in configuration.mailboxes:
        heard = [
            each.succeeded_at
            for each in bookmarks
            if each.mailbox == mailbox.name and each.succeeded_at
        ]
        tried = any(each.mailbox == mailbox.name for each in bookmarks)
        if heard and now - max(heard) > limit:
            text = (
                f"The mailbox {mailbox.name} was last read at {max(heard):%Y-%m-%d %H:%M} UTC; "
                "see `postmottak status`"
            )
            yield Problem(kind="silence", about=mailbox.name, text=text)
        elif tried and not heard:
            yield Problem(
                kind="silence",
                about=mailbox.name,
                text=f"The mailbox {mailbox.name} was never read; see `postmottak check`",
            )


def _refused(configuration: Configuration, bookmarks: Sequence[Bookmark]) -> Iterator[Problem]:
    names = {each.name for each in configuration.mailboxes}
    for each in bookmarks:
        if each.mailbox in names and each.begun and each.refused and not each.retired_at:
            about = f"{each.mailbox} {each.party} {each.service} {each.resource}"
            yield Problem(
                kind="rights",
                about=about,
                text=f"Access lost: {about}; see `postmottak check`",
            )


def _unread(
    configuration: Configuration, bookmarks: Sequence[Bookmark], now: datetime
) -> Iterator[Problem]:
    """By party, as access is granted; a mailbox that cannot be read at all is silent instead."""
    silent = {each.about for each in _silent(configuration, bookmarks, now)}
    by_party: dict[tuple[str, str], list[Bookmark]] = {}
    for each in unread(configuration, bookmarks, now):
        if each.mailbox not in silent and not (each.begun and each.refused):
            by_party.setdefault((each.mailbox, each.party), []).append(each)
    for (mailbox, party), late in by_party.items():
        which = _some(
            [
                f"{each.service} {each.resource} since {each.failing_since:%Y-%m-%d %H:%M} UTC"
                for each in late
            ]
        )
        text = (
            f"The mailbox {mailbox} cannot be read whole for {party}: {which}; see `postmottak "
            "status`"
        )
        critical = _is_long(configuration, late[0].failing_since, now)
        yield Problem(kind="unread", about=f"{mailbox} {party}", text=text, critical=critical)


def _unfetched(
    configuration: Configuration, store: Store, bookmarks: Sequence[Bookmark], now: datetime
) -> Iterator[Problem]:
    by_mailbox: dict[str, list[SkippedLetter]] = {}
    for each in unfetched(configuration, store, bookmarks, now):
        by_mailbox.setdefault(each.mailbox, []).append(each)
    for mailbox, late in by_mailbox.items():
        which = _some(
            [f"{each.external_id} since {each.failing_since:%Y-%m-%d %H:%M} UTC" for each in late]
        )
        text = (
            f"Letters in the mailbox {mailbox} that cannot be fetched: {len(late)}, {which}; see "
            "`postmottak status`"
        )
        yield Problem(
            kind="unfetched",
            about=mailbox,
            text=text,
            critical=_is_long(configuration, late[0].failing_since, now),
        )


def _incomplete(configuration: Configuration, store: Store, now: datetime) -> Iterator[Problem]:
    """Letters with attachments that did not come as sent.

    An attachment that is gone at the source is reported, and never critical.
    """
    for each in store.queries.incomplete(now - _HAPPENED_WITHIN, _HAPPENED_AT_MOST):
        since = f"since {each.fetched_at:%Y-%m-%d %H:%M} UTC"
        text = (
            f"Attachments of the letter {each.message_id} that are missing or damaged: "
            f"{each.missing}, {since}"
        )
        critical = each.may_come and _is_long(configuration, each.fetched_at, now)
        remedy = f"`postmottak messages refetch {each.message_id}` fetches them again"
        yield Problem(
            kind="incomplete",
            about=str(each.message_id),
            text=f"{text}; {remedy}",
            critical=critical,
        )


def _untold(configuration: Configuration, store: Store, now: datetime) -> Iterator[Problem]:
    for mailbox, (count, since) in store.marks.refused().items():
        if _is_long(configuration, since, now):
            text = (
                f"Marks (Read or Confirmed) that cannot be set in the mailbox {mailbox}: {count}, "
                f"since {since:%Y-%m-%d %H:%M} UTC"
            )
            yield Problem(
                kind="untold",
                about=mailbox,
                text=f"{text}; `postmottak messages show` says why",
                critical=False,
            )


def _is_long(configuration: Configuration, since: datetime | None, now: datetime) -> bool:
    """Whether it has lasted longer than a letter may wait, so that it is critical."""
    limit = max(configuration.alerts.undelivered_after, configuration.alerts.silent_after)
    return since is not None and now - since > limit


def _some(words: Sequence[str]) -> str:
    """Join the first few of them, and say how many more there are."""
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more


def _undelivered(configuration: Configuration, store: Store, now: datetime) -> Iterator[Problem]:
    limit = configuration.alerts.undelivered_after
    for destination, oldest in store.queries.oldest_waiting().items():
        if now - oldest > limit:
            text = (
                f"A letter has waited for {destination} since {oldest:%Y-%m-%d %H:%M} UTC, "
                f"longer than {duration_text(limit)}"
            )
            yield Problem(
                kind="undelivered",
                about=destination,
                text=f"{text}; see `postmottak deliveries list`",
            )


def _dead(store: Store) -> Iterator[Problem]:
    for (destination, state), count in store.queries.queues().items():
        if state is DeliveryState.DEAD:
            text = (
                f"Not delivered to {destination} and not tried again: {count}; see `postmottak "
                "deliveries list --state dead`"
            )
            yield Problem(kind="dead", about=destination, text=text)


def _not_taken(configuration: Configuration, store: Store, now: datetime) -> Iterator[Problem]:
    late = Counter(each.destination for each in not_taken(configuration, store, now))
    for destination, count in late.items():
        text = (
            f"Delivered to {destination} and not picked up in time: {count}; see "
            "`postmottak status`"
        )
        yield Problem(kind="not-taken", about=destination, text=text, critical=False)


def _rejected(store: Store, now: datetime) -> Iterator[Problem]:
    for each in store.queries.rejected(now - _HAPPENED_WITHIN, _HAPPENED_AT_MOST):
        text = (
            f"The receiver at {each.destination} rejected a letter; see `postmottak deliveries "
            f"show {each.id}`"
        )
        yield Problem(kind="rejected", about=str(each.id), text=text, critical=False)


def _collided(store: Store, now: datetime) -> Iterator[Problem]:
    for each in store.alerts.happened(COLLISION, now - _HAPPENED_WITHIN, _HAPPENED_AT_MOST):
        yield Problem(
            kind=COLLISION,
            about=each.key.removeprefix(f"{COLLISION} "),
            text=each.text,
            critical=each.critical,
        )


def _expiring(configuration: Configuration, now: datetime) -> Iterator[Problem]:
    limit = configuration.alerts.expires_within
    for name, ends in certificates(configuration).items():
        if ends - now < limit:
            text = (
                f"The certificate of {name} is valid until {ends:%Y-%m-%d}; renew the file in "
                "client_cert_file"
            )
            yield Problem(kind="expiry", about=name, text=text, critical=ends <= now)
    for name, ends in keys(configuration).items():
        if ends - now < limit:
            remedy = (
                "make a new one with `postmottak key new`, which says what to register and change, "
                "or register the same one again, and correct key_expires"
            )
            text = f"The key of the mailbox {name} is valid until {ends:%Y-%m-%d}; {remedy}"
            yield Problem(kind="expiry", about=f"key of {name}", text=text, critical=ends <= now)


def free_space(configuration: Configuration) -> dict[Path, int]:
    """Return the free bytes where letters are kept, by folder.

    A folder of which the system reports nothing is left out.
    """
    places = (configuration.store.database_path.parent, configuration.store.content)
    return {place: free for place in dict.fromkeys(places) if (free := _free(place)) is not None}


def _free(place: Path) -> int | None:
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None


def _full(configuration: Configuration) -> Iterator[Problem]:
    for place, free in free_space(configuration).items():
        if free < configuration.alerts.free_bytes:
            yield Problem(
                kind="disk",
                about=str(place),
                text=f"Only {free / 1e6:.0f} MB are free at {place}; make room",
            )


def _faulty(faults: Sequence[Fault]) -> Iterator[Problem]:
    if faults:
        places = ", ".join(
            dict.fromkeys(f"{each.file}:{each.line}" if each.line else each.file for each in faults)
        )
        yield Problem(
            kind="edit",
            about="",
            text=f"An edit was ignored because it has errors: {places}; see `postmottak check`",
        )


def _stored_of_service(store: Store, now: datetime) -> Iterator[Problem]:
    """What only the service knows, as far as it is in the store."""
    for about, text in _clock_doubts(store, now).items():
        yield Problem(kind=CLOCK, about=about, text=text)
    for each in store.alerts.all():
        if each.kind in SEEN_BY_SERVICE and not each.ended_at:
            yield Problem(
                kind=each.kind,
                about=each.key.removeprefix(each.kind).strip(),
                text=each.text,
                critical=each.critical,
            )


def _clock_doubts(store: Store, now: datetime) -> dict[str, str]:
    """What the service has stored about the clock, or what it would say of one that is behind."""
    noted = {
        each.key.removeprefix(CLOCK).strip(): each.text
        for each in store.alerts.all()
        if each.kind == CLOCK and not each.ended_at
    }
    newest = store.stamps.newest()
    if not noted and is_behind(now, newest):
        later = (
            f"something was recorded at {newest:%Y-%m-%d %H:%M}"
            if newest
            else "Postmottak did not exist then"
        )
        noted[WRONG] = (
            f"This machine's clock says {now:%Y-%m-%d %H:%M} UTC, but {later}; set it "
            "(`timedatectl`)"
        )
    return noted
