"""What coverage lacks, found by comparing what is known now. Pure; `CoverageWatch` keeps it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from daemon.config.loader import Configuration
from daemon.core.bookkeeping import Bookmark
from daemon.core.causes import cause_of
from daemon.core.coverage import CoverageFinding, FindingKey, FindingKind
from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.core.parties import MailboxParty
from daemon.core.silences import is_over, silence
from daemon.core.times import FIRST
from daemon.monitoring.expiry import expiries
from daemon.store.senders import SenderDays, SenderHistories, SenderKey

OF_CHANNELS = (FindingKind.RIGHT, FindingKind.SYSTEM_USER, FindingKind.SERVICE)
_NO_SYSTEM_USER = "no matching system user"  # see connectors/altinn3/token_refusals.py


def of_channels(
    mailbox: str,
    bookmarks: Iterable[Bookmark],
    parties: Mapping[str, MailboxParty],
    excluded: Collection[str],
    now: datetime,
) -> Iterator[CoverageFinding]:
    """Yield what cannot be read any more in a mailbox, or never could, by organisation.

    `parties` are the organisations that were found for it, of which `excluded` are not wanted.
    """
    by_party: defaultdict[str, list[Bookmark]] = defaultdict(list)
    for each in bookmarks:
        if not each.retired_at:
            by_party[each.party].append(each)
    gone = {number: each for number, each in parties.items() if number not in excluded}
    gone = {number: each for number, each in gone.items() if each.gone_at}
    for party in sorted({*by_party, *gone}):
        left = gone.get(party)
        if left and left.gone_at:
            reason = "the organisation is not found any more"
            yield _finding(FindingKind.SYSTEM_USER, mailbox, party, now, left.gone_at, reason)
        else:
            yield from _of_party(mailbox, party, by_party[party], now)


def _of_party(
    mailbox: str, party: str, channels: Sequence[Bookmark], now: datetime
) -> Iterator[CoverageFinding]:
    begun = [each for each in channels if each.begun]
    lost = [each for each in begun if each.refused]
    if lost and len(lost) == len(begun) and all(map(_is_without_user, lost)):
        since = min(_since(each, now) for each in lost)
        reason = cause_of(lost[0].last_error or "")
        yield _finding(FindingKind.SYSTEM_USER, mailbox, party, now, since, reason)
        return
    for each in lost:
        subject, reason = f"{each.service} {each.resource}", cause_of(each.last_error or "")
        yield _finding(FindingKind.RIGHT, mailbox, party, now, _since(each, now), reason, subject)
    yield from _unread_services(mailbox, party, channels, now)


def _unread_services(
    mailbox: str, party: str, channels: Sequence[Bookmark], now: datetime
) -> Iterator[CoverageFinding]:
    """Yield services none of whose channels was ever read, and one of which is refused."""
    by_service: defaultdict[str, list[Bookmark]] = defaultdict(list)
    for each in channels:
        if each.service != CONFIDENTIAL_POST.code:
            by_service[each.service].append(each)
    unread = {
        service: [each for each in own if each.refused]
        for service, own in by_service.items()
        if not any(each.begun for each in own) and any(each.refused for each in own)
    }
    if unread and len(unread) == len(by_service):
        refused = [each for own in unread.values() for each in own]
        unread = {"": refused}
    for service, refused in unread.items():
        since = min(_since(each, now) for each in refused)
        reason = cause_of(refused[0].last_error or "")
        yield _finding(FindingKind.SERVICE, mailbox, party, now, since, reason, service)


def _is_without_user(channel: Bookmark) -> bool:
    return _NO_SYSTEM_USER in (channel.last_error or "")


def _since(channel: Bookmark, now: datetime) -> datetime:
    return channel.failing_since or now


def _finding(
    kind: FindingKind,
    mailbox: str,
    party: str,
    now: datetime,
    since: datetime,
    reason: str = "",
    subject: str = "",
) -> CoverageFinding:
    return CoverageFinding(
        kind=kind,
        mailbox=mailbox,
        party=party,
        subject=subject,
        reason=reason,
        first_seen_at=now,
        since=since,
    )


def of_registry(
    mailbox: str,
    answer: Mapping[str, Sequence[str]],
    read: Collection[tuple[str, str]],
    now: datetime,
) -> Iterator[CoverageFinding]:
    """Yield resources that the registry has for services that are read, and that are not read.

    `read` are the services and resources of the mailbox's channels.
    """
    services, resources = {service for service, _ in read}, {resource for _, resource in read}
    for service, found in answer.items():
        for resource in found if service in services else ():
            if resource not in resources:
                reason = "Altinn's registry names it for this service"
                subject = f"{service} {resource}"
                yield _finding(FindingKind.RESOURCE, mailbox, "", now, now, reason, subject)


def of_expiry(configuration: Configuration, now: datetime) -> Iterator[CoverageFinding]:
    """Yield keys and certificates that end within `expires_within`, or have ended."""
    for each in expiries(configuration):
        if each["ends_at"] - now < configuration.alerts.expires_within:
            is_key = each["what"] == "key"
            yield _finding(
                FindingKind.EXPIRY,
                "",
                "",
                now,
                each["ends_at"],
                subject=f"{'key' if is_key else 'certificate'} {each['of']}",
            )


def read_until(bookmarks: Iterable[Bookmark], now: datetime) -> dict[tuple[str, str], datetime]:
    """Return until when all that an organisation has was read, by mailbox and organisation.

    What was not read says nothing of a sender. Organisations that are not read are left out.
    """
    until: dict[tuple[str, str], datetime] = {}
    for each in bookmarks:
        if each.begun and not each.retired_at and each.succeeded_at:
            place = each.mailbox, each.party
            until[place] = min(until.get(place, now), each.succeeded_at)
    return until


def of_senders(
    histories: SenderHistories,
    until: Mapping[tuple[str, str], datetime],
    open_ones: Iterable[CoverageFinding],
    last: Mapping[FindingKey, datetime],
    now: datetime,
) -> Iterator[CoverageFinding]:
    """Yield the senders of these histories that are silent; of `open_ones`, those that still are.

    `until` is `read_until`. `last` is the latest `since` of each sender's findings, which no later
    one of the same silence repeats.
    """
    known = {each.key: each for each in open_ones if histories.has(_sender(each))}
    for each in known.values():
        its = histories.by_sender.get(_sender(each))
        is_read = (each.mailbox, each.party) in until
        if is_read and not is_over(_day(each.since), its.days() if its else (), _day(now)):
            yield each
    for sender, its in histories.by_sender.items():
        end = until.get((sender.mailbox, sender.party))
        found = _silent(sender, its, end, now) if end else None
        if found and found.key not in known and found.since > last.get(found.key, FIRST):
            yield found


def _sender(finding: CoverageFinding) -> SenderKey:
    return SenderKey(finding.mailbox, finding.party, finding.subject, finding.confidential)


def _silent(
    sender: SenderKey, its: SenderDays, until: datetime, now: datetime
) -> CoverageFinding | None:
    found = silence(its.days(), _day(until))
    if found is None or any(day > found.since for day in its.days()):
        return None
    return CoverageFinding(
        kind=FindingKind.SENDER,
        mailbox=sender.mailbox,
        party=sender.party,
        subject=sender.number,
        name=its.name,
        confidential=sender.confidential,
        reason=(f"it was regular, and its longest pause in a year was {_counted(found.longest)}"),
        first_seen_at=now,
        since=datetime.combine(found.since, time(), UTC),
    )


def _counted(pause: timedelta) -> str:
    return f"{pause.days} day{'s' * (pause.days != 1)}"


def _day(moment: datetime) -> date:
    return moment.date()
