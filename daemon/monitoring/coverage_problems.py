"""What coverage lacks, as problems: what no other kind of problem is about.

Lost rights, organisations that are gone and what expires have kinds of their own, which come at
once; they are not notified of a second time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from daemon.config.loader import Configuration
from daemon.core.coverage import WHOLE_STORE, CoverageFinding, FindingKind
from daemon.monitoring.problem import Problem, moment, some
from daemon.store import Store

KINDS: Mapping[FindingKind, str] = {
    FindingKind.SENDER: "sender",
    FindingKind.RESOURCE: "resource",
    FindingKind.SERVICE: "service",
}
"""The kinds of problems, by the kinds of findings that have one."""
MEANINGS: Mapping[FindingKind, str] = {
    FindingKind.RIGHT: "could be read, and is refused now",
    FindingKind.SYSTEM_USER: "all of it is refused, or the organisation is not found any more",
    FindingKind.SERVICE: "one of the ten services, which could never be read",
    FindingKind.RESOURCE: "carries letters, and is not in the configuration",
    FindingKind.SENDER: (
        "was regular, with letters on at least six days of a year, over at least thirty days, and "
        "has sent none for longer than three times its longest pause in that year, and a week"
    ),
    FindingKind.EXPIRY: "a key or certificate that ends",
}
"""What each kind of finding is, in words."""
REMEDIES: Mapping[FindingKind, str] = {
    FindingKind.RIGHT: (
        "have the organisation give the system user the access package or right again"
    ),
    FindingKind.SYSTEM_USER: (
        "have the organisation approve the system user or delegate to it again, or write it into "
        "`exclude` or out of `parties` if it has left"
    ),
    FindingKind.SERVICE: (
        "have the organisation delegate the access package Ordinær post til virksomheten; "
        "`postmottak discover` says which resources it may read"
    ),
    FindingKind.RESOURCE: (
        "write it into `resources` (`postmottak discover` prints them), or remove `resources` so "
        "that new ones are found"
    ),
    FindingKind.SENDER: (
        "ask the sender whether letters were sent, and look into the inbox in Altinn"
    ),
    FindingKind.EXPIRY: (
        "make a new key with `postmottak key new`, or renew the file in client_cert_file"
    ),
}
"""What to do about each kind of finding."""


def findings(configuration: Configuration, store: Store) -> Sequence[CoverageFinding]:
    """Return what coverage lacks now, of the mailboxes that are configured. Raises StoreError."""
    names = {"", *(each.name for each in configuration.mailboxes)}
    return [each for each in store.coverage.open() if each.mailbox in names]


def compared_at(configuration: Configuration, store: Store) -> tuple[datetime | None, ...]:
    """Return when every mailbox, and when all senders, were last looked at. Raises StoreError.

    None for never: then nothing that is not found says that there is nothing.
    """
    looks = [store.coverage.look(each.name) for each in configuration.mailboxes]
    times = [each.compared_at if each else None for each in looks]
    whole = store.coverage.look(WHOLE_STORE)
    known = [each for each in times if each]
    mailboxes = min(known) if known and len(known) == len(times) else None
    return mailboxes, whole.senders_at if whole else None


def facts(finding: CoverageFinding) -> dict[str, Any]:
    """Return what `coverage --json` promises of a finding; no sender of confidential post."""
    wanted = ("mailbox", "party", "confidential", "reason", "first_seen_at", "since")
    hidden = finding.confidential
    return {
        "kind": finding.kind.value,
        "subject": "" if hidden else finding.subject,
        "name": "" if hidden else finding.name,
        **{name: getattr(finding, name) for name in wanted},
        "remedy": REMEDIES[finding.kind],
    }


def of_coverage(
    configuration: Configuration, store: Store, is_shown: Callable[[str], bool] = lambda _: True
) -> Iterator[Problem]:
    """Yield a problem for each sender, resource and service. Raises StoreError.

    Only of organisations that `is_shown` allows. Senders of confidential post are not named. A
    service that no organisation of the mailbox can read has none: its resource is only presumed.
    """
    read = _read_services(store)
    groups: defaultdict[tuple[FindingKind, str, str], list[CoverageFinding]] = defaultdict(list)
    for each in findings(configuration, store):
        is_real = each.kind is not FindingKind.SERVICE or _is_read(each, read)
        if each.kind in KINDS and is_real and (not each.party or is_shown(each.party)):
            about = "confidential" if each.confidential else each.subject
            groups[each.kind, each.mailbox, about].append(each)
    for (kind, mailbox, about), own in groups.items():
        yield _problem(kind, mailbox, about, own)


def _read_services(store: Store) -> set[tuple[str, str]]:
    if not store.coverage.open(FindingKind.SERVICE):
        return set()
    return {
        (each.mailbox, each.service)
        for each in store.queries.bookmarks()
        if each.begun and not (each.refused or each.retired_at)
    }


def _is_read(finding: CoverageFinding, read: set[tuple[str, str]]) -> bool:
    """Whether another organisation of the mailbox can read the service, or any if it is of all."""
    if finding.subject:
        return (finding.mailbox, finding.subject) in read
    return any(mailbox == finding.mailbox for mailbox, _ in read)


def _problem(
    kind: FindingKind, mailbox: str, about: str, own: Sequence[CoverageFinding]
) -> Problem:
    since, parties = min(each.since for each in own), sorted({each.party for each in own} - {""})
    whose = f" for {some(parties)}" if parties else ""
    words = {
        FindingKind.SENDER: (
            f"Senders of confidential post in the mailbox {mailbox} that were regular and have "
            f"fallen silent{whose}: {len(own)}"
            if own[0].confidential
            else f"The sender {about}, which was regular, has sent no letter{whose} since "
            f"{since:%Y-%m-%d}, more than three times its longest pause in a year"
        ),
        FindingKind.RESOURCE: (
            f"The resource {about} carries letters, and the configuration of the mailbox "
            f"{mailbox} does not have it, found {moment(since)}"
        ),
        FindingKind.SERVICE: (
            f"{f'The service {about}' if about else 'No service'} of the mailbox {mailbox} can"
            f"{'not' if about else ''} be read{whose}, since {moment(since)}"
        ),
    }
    return Problem(
        kind=KINDS[kind],
        about=f"{mailbox} {about}".strip(),
        where=mailbox,
        count=len(own),
        parties=parties,
        since=since,
        text=f"{words[kind]}; {REMEDIES[kind]}",
        critical=False,
    )
