"""What is wrong now, for alerts, status and monitors. Without titles, contents or names of persons.

The cost depends on what is waiting, never on what is stored and delivered.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from daemon.config.loader import Configuration
from daemon.core.bookkeeping import CLOCK, SEEN_BY_SERVICE
from daemon.core.errors import Fault
from daemon.monitoring.acknowledging import of_digests, of_people
from daemon.monitoring.canary import of_canaries
from daemon.monitoring.completeness import of_completeness
from daemon.monitoring.coverage_problems import of_coverage
from daemon.monitoring.expiry import certificates, keys
from daemon.monitoring.holders import of_holders
from daemon.monitoring.journal import of_journal
from daemon.monitoring.late import is_long
from daemon.monitoring.node_waits import node_waits
from daemon.monitoring.nodes import any_lives, of_node_waits, of_nodes
from daemon.monitoring.problem import Problem, moment, of_node, some, split_key
from daemon.monitoring.reading import key_incident, of_mailboxes
from daemon.monitoring.running import of_running
from daemon.monitoring.sending import HAPPENED_AT_MOST, HAPPENED_WITHIN, of_deliveries
from daemon.runtime.clock import WRONG, is_behind
from daemon.runtime.start_fault import start_fault
from daemon.store import Store
from daemon.store.in_use import StoreUse, store_use

__all__ = ["Problem", "find_all", "find_problems", "free_space"]
_OURS = StoreUse(in_use=True)


def find_problems(
    configuration: Configuration,
    store: Store,
    now: datetime,
    faults: Sequence[Fault] = (),
    of_service: Sequence[Problem] | None = None,
) -> list[Problem]:
    """Return everything that is wrong, and not what may pass by itself. Raises StoreError.

    Arguments are as for `find_all`.
    """
    found = find_all(configuration, store, now, faults, of_service)
    return [each for each in found if not each.passing]


def find_all(
    configuration: Configuration,
    store: Store,
    now: datetime,
    faults: Sequence[Fault] = (),
    of_service: Sequence[Problem] | None = None,
) -> list[Problem]:
    """Return everything that is wrong or may pass by itself. Raises StoreError.

    `faults` are those of an edit that was ignored. `of_service` is what only the running service
    knows (`ServiceProblems`); other processes leave it out, and get what the service has stored.
    """
    settings = configuration.store
    nodes, node = store.nodes.states(), "" if settings.is_file else settings.node_name
    use = _OURS if of_service is not None or any_lives(nodes) else store_use(settings.beside)
    own = [*_full(configuration), *_faulty(faults), *_certificates(configuration, now)]
    of_service = (
        [*_stored_of_service(store, now)] if of_service is None else [*of_node(of_service, node)]
    )
    return [
        *of_nodes(nodes),
        *of_node_waits(node_waits(configuration, store, nodes).values(), now),
        *of_running(store, use, start_fault(configuration.store.beside)),
        *of_mailboxes(configuration, store, store.queries.bookmarks(), now, runs=use.in_use),
        *of_completeness(configuration, store),
        *of_canaries(configuration, store, now),
        *of_coverage(configuration, store),
        *_incomplete(configuration, store, now),
        *_untold(configuration, store, now),
        *of_deliveries(configuration, store, now),
        *of_people(store, now),
        *of_digests(configuration, store),
        *_expiring(configuration, now),
        *of_holders(store),
        *of_node(own, node),
        *of_journal(store, of_service, now),
        *of_service,
    ]


def _incomplete(configuration: Configuration, store: Store, now: datetime) -> Iterator[Problem]:
    """Letters with attachments that did not come as sent.

    An attachment that is gone at the source is reported, and never critical.
    """
    for each in store.queries.incomplete(now - HAPPENED_WITHIN, HAPPENED_AT_MOST):
        since = f"since {moment(each.fetched_at)}"
        text = (
            f"Attachments of the letter {each.message_id} that are missing or damaged: "
            f"{each.missing}, {since}"
        )
        critical = each.may_come and is_long(configuration, each.fetched_at, now)
        remedy = f"`postmottak messages refetch {each.message_id}` fetches them again"
        yield Problem(
            kind="incomplete",
            about=str(each.message_id),
            since=each.fetched_at,
            text=f"{text}; {remedy}",
            critical=critical,
        )


def _untold(configuration: Configuration, store: Store, now: datetime) -> Iterator[Problem]:
    for mailbox, (count, since) in store.marks.refused().items():
        if is_long(configuration, since, now):
            text = (
                f"Marks (Read or Confirmed) that cannot be set in the mailbox {mailbox}: {count}, "
                f"since {moment(since)}"
            )
            yield Problem(
                kind="untold",
                about=mailbox,
                where=mailbox,
                count=count,
                since=since,
                text=f"{text}; `postmottak messages show` says why",
                critical=False,
            )


def _certificates(configuration: Configuration, now: datetime) -> Iterator[Problem]:
    limit = configuration.alerts.expires_within
    for name, ends in certificates(configuration).items():
        if ends - now < limit:
            text = (
                f"The certificate of {name} is valid until {ends:%Y-%m-%d}; renew the file in "
                "client_cert_file"
            )
            yield Problem(kind="expiry", about=name, where=name, text=text, critical=ends <= now)


def _expiring(configuration: Configuration, now: datetime) -> Iterator[Problem]:
    limit = configuration.alerts.expires_within
    for name, ends in keys(configuration).items():
        if ends - now < limit:
            remedy = (
                "make a new one with `postmottak key new`, which says what to register and change, "
                "or register the same one again, and correct key_expires"
            )
            over = ends <= now
            until = f"has expired on {ends:%Y-%m-%d}" if over else f"is valid until {ends:%Y-%m-%d}"
            yield Problem(
                kind="expiry",
                about=f"key of {name}",
                where=name,
                incident=key_incident(name) if over else "",
                text=f"The key of the mailbox {name} {until}; {remedy}",
                critical=over,
            )


def free_space(configuration: Configuration) -> dict[Path, int]:
    """Return the free bytes where letters are kept, by folder.

    A folder of which the system reports nothing is left out.
    """
    places = (configuration.store.beside.parent, configuration.store.content_folder)
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
        places = some([*dict.fromkeys(map(_place, faults))])
        text = f"An edit was ignored because it has errors: {places}"
        yield Problem(kind="edit", about="", text=f"{text}; see `postmottak check`")


def _place(fault: Fault) -> str:
    """Return where it is and about which key, but not what is written there: that may be a name."""
    place = f"{fault.file}:{fault.line}" if fault.line else fault.file
    return f"{place} ({fault.key})" if fault.key else place


def _stored_of_service(store: Store, now: datetime) -> Iterator[Problem]:
    """What only the service knows, as far as it is in the store."""
    for about, text in _clock_doubts(store, now).items():
        yield Problem(kind=CLOCK, about=about, text=text)
    for each in store.alerts.all():
        about, incident = split_key(each.kind, each.key)
        # a full destination, which has an incident, is seen by its deliveries
        if each.kind in SEEN_BY_SERVICE and not (each.ended_at or incident):
            yield Problem(
                kind=each.kind,
                about=about,
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
            f"something was recorded at {newest:%Y-%m-%d %H:%M} UTC"
            if newest
            else "Postmottak did not exist then"
        )
        noted[WRONG] = (
            f"This machine's clock says {now:%Y-%m-%d %H:%M} UTC, but {later}; set it "
            "(`timedatectl`)"
        )
    return noted
