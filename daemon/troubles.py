"""What is wrong now, for alerts, status and monitors. Without titles, contents or names of persons.

Its cost depends on what waits, never on what is stored and delivered.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

from cryptography import x509

from daemon.config import Configuration
from daemon.errors import Fault
from daemon.model import Delivery, DeliveryState
from daemon.records import COLLISION, Bookmark
from daemon.routing.facts import NORWAY
from daemon.settings import duration_text
from daemon.store import Store

_HAPPENED_WITHIN = timedelta(days=7)  # what happens and does not pass is shown for so long
_HAPPENED_AT_MOST = 50


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One thing that is wrong."""

    kind: str
    about: str
    """What it is wrong with: a destination, a channel, a file. Kind and this make the same trouble the same."""
    text: str
    critical: bool = True

    @property
    def key(self) -> str:
        """By which it is recognised."""
        return f"{self.kind} {self.about}".strip()


def find_troubles(configuration: Configuration, store: Store, now: datetime, faults: Sequence[Fault] = ()) -> list[Trouble]:
    """Everything that is wrong; `faults` are those of an edit that is not in force. Raises StoreError."""
    bookmarks = store.views.bookmarks()
    return [
        *_silent(configuration, bookmarks, now),
        *_refused(configuration, bookmarks),
        *_undelivered(configuration, store, now),
        *_dead(store),
        *_not_taken(configuration, store, now),
        *_rejected(store, now),
        *_collided(store, now),
        *_expiring(configuration, now),
        *_full(configuration),
        *_faulty(faults),
    ]


def _silent(configuration: Configuration, bookmarks: Sequence[Bookmark], now: datetime) -> Iterator[Trouble]:
    limit = configuration.alerts.silent_after
    for mailbox in configuration.mailboxes:
        heard = [each.succeeded_at for each in bookmarks if each.mailbox == mailbox.name and each.succeeded_at]
        tried = any(each.mailbox == mailbox.name for each in bookmarks)
        if heard and now - max(heard) > limit:
            text = f"The mailbox {mailbox.name} was last read at {max(heard):%Y-%m-%d %H:%M} UTC; see `postmottak status`"
            yield Trouble(kind="silence", about=mailbox.name, text=text)
        elif tried and not heard:
            yield Trouble(kind="silence", about=mailbox.name, text=f"The mailbox {mailbox.name} was never read; see `postmottak check`")


def _refused(configuration: Configuration, bookmarks: Sequence[Bookmark]) -> Iterator[Trouble]:
    names = {each.name for each in configuration.mailboxes}
    for each in bookmarks:
        if each.mailbox in names and each.begun and each.refused:
            about = f"{each.mailbox} {each.party} {each.service} {each.resource}"
            yield Trouble(kind="rights", about=about, text=f"What could be read is refused now: {about}; see `postmottak check`")


def _undelivered(configuration: Configuration, store: Store, now: datetime) -> Iterator[Trouble]:
    limit = configuration.alerts.undelivered_after
    for destination, oldest in store.views.oldest_waiting().items():
        if now - oldest > limit:
            text = f"A letter waits for {destination} since {oldest:%Y-%m-%d %H:%M} UTC, longer than {duration_text(limit)}"
            yield Trouble(kind="undelivered", about=destination, text=f"{text}; see `postmottak deliveries list`")


def _dead(store: Store) -> Iterator[Trouble]:
    for (destination, state), count in store.views.queues().items():
        if state is DeliveryState.DEAD:
            text = f"Not delivered to {destination} and not tried again: {count}; see `postmottak deliveries list --state dead`"
            yield Trouble(kind="dead", about=destination, text=text)


def not_taken(configuration: Configuration, store: Store, now: datetime) -> list[Delivery]:
    """Deliveries that their receivers have neither taken nor rejected in the time that the destination allows, the oldest first."""
    allowed = {each.name: limit for each in configuration.destinations if (limit := getattr(each.settings, "await_pickup", None))}
    waiting = store.outbox.awaiting_pickup(allowed) if allowed else iter(())
    return [each for each in waiting if each.delivered_at and now - each.delivered_at > allowed[each.destination]]


def _not_taken(configuration: Configuration, store: Store, now: datetime) -> Iterator[Trouble]:
    late = Counter(each.destination for each in not_taken(configuration, store, now))
    for destination, count in late.items():
        text = f"Delivered to {destination} and not taken in time: {count}; see `postmottak status`"
        yield Trouble(kind="not-taken", about=destination, text=text, critical=False)


def _rejected(store: Store, now: datetime) -> Iterator[Trouble]:
    for each in store.views.rejected(now - _HAPPENED_WITHIN, _HAPPENED_AT_MOST):
        text = f"The receiver at {each.destination} rejected a letter; see `postmottak deliveries show {each.id}`"
        yield Trouble(kind="rejected", about=str(each.id), text=text, critical=False)


def _collided(store: Store, now: datetime) -> Iterator[Trouble]:
    for each in store.alerts.happened(COLLISION, now - _HAPPENED_WITHIN, _HAPPENED_AT_MOST):
        yield Trouble(kind=COLLISION, about=each.key.removeprefix(f"{COLLISION} "), text=each.text, critical=each.critical)


def _expiring(configuration: Configuration, now: datetime) -> Iterator[Trouble]:
    limit = configuration.alerts.expires_within
    for name, ends in certificates(configuration).items():
        if ends - now < limit:
            text = f"The certificate of {name} is good until {ends:%Y-%m-%d}; renew the file in client_cert_file"
            yield Trouble(kind="expiry", about=name, text=text, critical=ends <= now)
    for name, ends in keys(configuration).items():
        if ends - now < limit:
            remedy = "register a new one in Samarbeidsportalen, or the same one again, and correct key_expires"
            text = f"The key of the mailbox {name} is good until {ends:%Y-%m-%d}; {remedy}"
            yield Trouble(kind="expiry", about=f"key of {name}", text=text, critical=ends <= now)


def keys(configuration: Configuration) -> dict[str, datetime]:
    """When the last day of the mailboxes' keys ends, by mailbox, as far as the configuration says."""
    days = {each.name: getattr(each.settings, "key_expires", None) for each in configuration.mailboxes}
    return {name: datetime.combine(day, time.max, NORWAY) for name, day in days.items() if day}


def certificates(configuration: Configuration) -> dict[str, datetime]:
    """When the client certificates end, by destination."""
    paths = {each.name: getattr(each.settings, "client_cert_file", None) for each in configuration.destinations}
    return {name: ends for name, path in paths.items() if path and (ends := _ends_at(path))}


def _ends_at(path: Path) -> datetime | None:
    """When a certificate ends; None if it cannot be read, which the check tells."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None


def free_space(configuration: Configuration) -> dict[Path, int]:
    """Bytes that are free where letters are kept, by folder."""
    places = (configuration.store.database_path.parent, configuration.store.content)
    return {place: shutil.disk_usage(place).free for place in dict.fromkeys(places) if place.is_dir()}


def _full(configuration: Configuration) -> Iterator[Trouble]:
    for place, free in free_space(configuration).items():
        if free < configuration.alerts.free_bytes:
            yield Trouble(kind="disk", about=str(place), text=f"Only {free / 1e6:.0f} MB are free at {place}; make room")


def _faulty(faults: Sequence[Fault]) -> Iterator[Trouble]:
    if faults:
        places = ", ".join(dict.fromkeys(f"{each.file}:{each.line}" if each.line else each.file for each in faults))
        yield Trouble(kind="edit", about="", text=f"An edit is not in force, for it has faults: {places}; see `postmottak check`")
