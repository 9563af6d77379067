"""What is wrong with reading mailboxes: what is not read, not whole, refused, or not fetched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from daemon.config.loader import Configuration, MailboxConfiguration
from daemon.core.bookkeeping import Bookmark, SkippedLetter
from daemon.core.causes import cause_of, incident_of, needs_set_up, split_reason
from daemon.core.durations import duration_text
from daemon.core.model import SightingState
from daemon.core.poll_interval import last_tried
from daemon.monitoring.expiry import keys
from daemon.monitoring.late import is_long
from daemon.monitoring.problem import Problem, moment, some
from daemon.monitoring.sending import NOTIFY_AFTER, SEVERAL
from daemon.store import Store

_SEE_SERVICE = "see whether the service runs: `systemctl status postmottak`"
_SEE_LOG = "see the service's log: `journalctl -u postmottak`"
_SEE, _SEE_ALL = "see `postmottak check`", "see `postmottak status --all`"
_POLLS = 3
"""A channel that was not polled for so many intervals, and for so long, is not polled any more."""
_STOPPED_AFTER = timedelta(minutes=30)


def of_mailboxes(
    configuration: Configuration,
    store: Store,
    bookmarks: Sequence[Bookmark],
    now: datetime,
    *,
    runs: bool | None = None,
) -> Iterator[Problem]:
    """Yield what is wrong with reading, by mailbox and cause. Raises StoreError.

    `runs` says whether the service runs; None if that is not known.
    """
    ended = {name for name, ends in keys(configuration).items() if ends <= now}
    by_mailbox: defaultdict[str, list[Bookmark]] = defaultdict(list)
    for each in bookmarks:
        by_mailbox[each.mailbox].append(each)
    for mailbox in configuration.mailboxes:
        yield from _Reading(
            configuration=configuration,
            mailbox=mailbox,
            bookmarks=by_mailbox[mailbox.name],
            key_has_ended=mailbox.name in ended,
            now=now,
            see_service=_SEE_LOG if runs else _SEE_SERVICE,
        ).problems()
    yield from _unfetched(configuration, store, bookmarks, now)


def key_incident(mailbox: str) -> str:
    """Return the incident of a mailbox's key that has ended: what it prevents is no other one."""
    return _incident(mailbox, "certificate has expired")


def _incident(mailbox: str, reason: str, what: str = "mailbox") -> str:
    return incident_of(f"{what} {mailbox}", reason)


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """How one mailbox is read."""

    configuration: Configuration
    mailbox: MailboxConfiguration
    bookmarks: Sequence[Bookmark]
    key_has_ended: bool
    now: datetime
    see_service: str
    """The remedy where nothing is known but that it is not read."""

    def problems(self) -> Iterator[Problem]:
        """One problem for the whole mailbox, or one for each cause of what cannot be read."""
        if not self.bookmarks:
            yield self._silence(f"has not been read yet; {self.see_service}")
            return
        heard = [each.succeeded_at for each in self.bookmarks if each.succeeded_at]
        if not heard:
            yield self._silence(f"was never read{self._because()}", critical=True, notify=True)
        elif self.now - max(heard) > self._silent_after:
            last = f"was last read at {moment(max(heard))}{self._because()}"
            yield self._silence(last, critical=True, notify=True)
        elif self._nothing_can_be_read:
            yield self._nothing_is_read()
        else:
            yield from self._not_whole()
            yield from self._not_polled()

    @cached_property
    def _current(self) -> list[Bookmark]:
        return [each for each in self.bookmarks if not each.retired_at]

    @property
    def _expected(self) -> list[Bookmark]:
        """What should be readable: not a resource that was only presumed, and is refused."""
        return [
            each for each in self._current if each.failing_since or each.begun or not each.refused
        ]

    @cached_property
    def _failing(self) -> list[Bookmark]:
        return [each for each in self._current if _fails(each)]

    @property
    def _nothing_can_be_read(self) -> bool:
        """Whether all that should be readable fails; lost access says so itself."""
        failing = self._failing
        lost = all(each.begun and each.refused for each in failing)
        return bool(failing) and len(failing) == len(self._expected) and not lost

    def _silence(self, what: str, *, critical: bool = False, notify: bool = False) -> Problem:
        return Problem(
            kind="silence",
            about=self.mailbox.name,
            where=self.mailbox.name,
            incident=self._most(self._failing),
            count=max(1, len(self._current)),
            parties=sorted({each.party for each in self._expected}),
            text=f"The mailbox {self.mailbox.name} {what}",
            critical=critical,
            notify=notify,
            patience=self._patience(self._failing),
        )

    def _patience(self, failing: Sequence[Bookmark]) -> timedelta:
        set_up = any(map(_is_set_up, failing))
        return timedelta() if set_up else self.configuration.alerts.silent_after

    def _nothing_is_read(self) -> Problem:
        """For less than an hour: at once where waiting does not help."""
        since = min(each.failing_since or self.now for each in self._failing)
        set_up = any(map(_is_set_up, self._failing))
        return self._silence(
            f"cannot be read since {moment(since)}{self._because()}",
            critical=set_up,
            notify=set_up,
        )

    def _because(self) -> str:
        """The most frequent reason of what cannot be read, with its remedy."""
        groups = self._by_cause(self._failing or [each for each in self._current if each.refused])
        if not groups:
            return f"; {self.see_service}"
        first = max(groups.values(), key=len)
        others = " (and for other reasons)" * (len(groups) > 1)
        what, remedy = split_reason(_reason(first[0]))
        return f": {what or 'for an unknown reason'}{others}; {remedy or _SEE}"

    def _most(self, failing: Sequence[Bookmark]) -> str:
        groups = self._by_cause(failing)
        return max(groups, key=lambda incident: len(groups[incident])) if groups else ""

    def _by_cause(self, failing: Sequence[Bookmark]) -> Mapping[str, list[Bookmark]]:
        groups: defaultdict[str, list[Bookmark]] = defaultdict(list)
        for each in failing:
            groups[self._incident_of(each)].append(each)
        return groups

    def _incident_of(self, each: Bookmark) -> str:
        if self.key_has_ended and "oken" in (each.last_error or ""):
            return key_incident(self.mailbox.name)
        reason = (each.last_error or "").replace(each.party, "").replace(each.resource, "")
        return _incident(self.mailbox.name, f"{'may not read ' * each.refused}{reason}")

    def _not_whole(self) -> Iterator[Problem]:
        """By cause; access that was there and is lost is worse than what was never granted."""
        lost = [each for each in self._failing if each.begun and each.refused]
        for incident, channels in self._by_cause(lost).items():
            which = some([f"{each.party} {_channel(each)}" for each in channels])
            yield self._problem(
                "rights", incident, channels, f"Access lost: {self.mailbox.name}", which
            )
        others = [each for each in self._failing if not (each.begun and each.refused)]
        for incident, channels in self._by_cause(others).items():
            yield self._unread(incident, channels)

    def _unread(self, incident: str, channels: Sequence[Bookmark]) -> Problem:
        by_party = sorted({each.party for each in channels})
        since = min(each.failing_since or self.now for each in channels)
        set_up = any(map(_is_set_up, channels))
        which = some(
            [f"{_channel(each)} since {moment(each.failing_since or since)}" for each in channels]
        )
        lasting = [each for each in channels if _is_set_up(each) or self._lasts(each.failing_since)]
        text = f"The mailbox {self.mailbox.name} cannot be read whole for {some(by_party)}"
        return self._problem(
            "unread",
            incident,
            channels,
            text,
            which,
            lasting=lasting,
            critical=is_long(self.configuration, since, self.now),
            passing=not set_up and self.now - since < NOTIFY_AFTER,
            notify=bool(lasting),
        )

    def _lasts(self, since: datetime | None) -> bool:
        return self.now - (since or self.now) > self.configuration.alerts.silent_after

    def _problem(  # noqa: PLR0913  # what it is about, and how long it may last
        self,
        kind: str,
        incident: str,
        channels: Sequence[Bookmark],
        text: str,
        which: str,
        *,
        lasting: Sequence[Bookmark] | None = None,
        critical: bool = True,
        passing: bool = False,
        notify: bool = True,
    ) -> Problem:
        what, remedy = split_reason(_reason(channels[0]))
        return Problem(
            kind=kind,
            about=self.mailbox.name,
            incident=incident,
            where=self.mailbox.name,
            count=len(channels),
            parties=sorted({each.party for each in (channels if lasting is None else lasting)}),
            since=channels[0].failing_since,
            # the cause first: a list of channels may be long, and lines are cut at their ends
            text=f"{text}: {what or 'for an unknown reason'}: {which}; {remedy or _SEE}",
            critical=critical,
            passing=passing,
            notify=notify,
            patience=self._patience(channels),
        )

    def _not_polled(self) -> Iterator[Problem]:
        """What nobody has asked for a while: the service is stopped, or does not know of it."""
        left = {
            each.party: last
            for each in self._expected
            if not _fails(each)
            and (last := last_tried(each)) is not None
            and self.now - last > self._allowed(each.party)
        }
        known = {each.party for each in self._current}
        new = [party for party in self.mailbox.settings.organisations if party not in known]
        if left:
            yield self._stopped(sorted(left), min(left.values()))
        if new:
            text = f"Not read yet in the mailbox {self.mailbox.name}: {some(new)}"
            yield Problem(
                kind="unread",
                about=f"{self.mailbox.name} new",
                where=self.mailbox.name,
                count=len(new),
                text=f"{text}; restart the service if they were added since its start",
                critical=False,
                notify=False,
            )

    @property
    def _silent_after(self) -> timedelta:
        """For how long nothing may be heard of the whole mailbox, if its intervals grow, too."""
        grown = self._intervals.values() if self.mailbox.settings.poll_bounds else ()
        return max(self.configuration.alerts.silent_after, _POLLS * min(grown, default=timedelta()))

    def _allowed(self, party: str) -> timedelta:
        """Return for how long nothing may be heard of an organisation."""
        return max(_POLLS * self._intervals.get(party, timedelta()), _STOPPED_AFTER)

    @cached_property
    def _intervals(self) -> Mapping[str, timedelta]:
        """How often each organisation is listed."""
        settings, by_party = self.mailbox.settings, defaultdict[str, list[Bookmark]](list)
        for each in self._expected:
            by_party[each.party].append(each)
        if settings.poll_bounds is None:
            return dict.fromkeys(by_party, settings.poll_every)
        bounds = settings.poll_bounds
        return {party: bounds.of_party(own, self.now) for party, own in by_party.items()}

    def _stopped(self, parties: Sequence[str], since: datetime) -> Problem:
        bounds, every = self.mailbox.settings.poll_bounds, self.mailbox.settings.poll_every
        interval = f"poll_every ({duration_text(every)})"
        if bounds:
            shortest, longest = duration_text(bounds.shortest), duration_text(bounds.longest)
            interval = f"the interval of each ({shortest} to {longest})"
        text = (
            f"The mailbox {self.mailbox.name} was not read for more than {_POLLS} times "
            f"{interval}, for {some(parties)}"
        )
        return Problem(
            kind="unread",
            about=f"{self.mailbox.name} stopped",
            where=self.mailbox.name,
            count=len(parties),
            parties=parties,
            text=f"{text}; {self.see_service}",
            critical=False,
            notify=self.now - since > self.configuration.alerts.silent_after,
            patience=self._patience(()),
        )


def _fails(channel: Bookmark) -> bool:
    return bool(channel.failing_since) or (channel.begun and channel.refused)


def _is_set_up(channel: Bookmark) -> bool:
    return channel.refused or needs_set_up(channel.last_error or "")


def _reason(channel: Bookmark) -> str:
    return cause_of(channel.last_error or "")


def _channel(channel: Bookmark) -> str:
    return f"{channel.service} {channel.resource}"


def _unfetched(
    configuration: Configuration, store: Store, bookmarks: Sequence[Bookmark], now: datetime
) -> Iterator[Problem]:
    names = {each.name for each in configuration.mailboxes}
    retired = {(each.mailbox, each.party, each.resource) for each in bookmarks if each.retired_at}
    groups: defaultdict[tuple[str, str], list[SkippedLetter]] = defaultdict(list)
    for each in store.queries.sightings(SightingState.FAILING):
        if each.mailbox in names and (each.mailbox, each.party, each.resource) not in retired:
            reason = (each.last_error or "").replace(each.external_id, "")
            # what passes is not the same as what passes when a mailbox is listed
            what = "mailbox" if needs_set_up(reason) else "letters of"
            groups[each.mailbox, _incident(each.mailbox, reason, what)].append(each)
    for (mailbox, incident), letters in groups.items():
        yield _letters_unfetched(configuration, mailbox, incident, letters, now)


def _letters_unfetched(
    configuration: Configuration,
    mailbox: str,
    incident: str,
    letters: Sequence[SkippedLetter],
    now: datetime,
) -> Problem:
    ordered = sorted(letters, key=lambda each: each.failing_since or now)
    since = ordered[0].failing_since or now
    reason = cause_of(ordered[0].last_error or "")
    (what, remedy), set_up = split_reason(reason), needs_set_up(reason)
    which = some(
        [f"{each.external_id} since {moment(each.failing_since or now)}" for each in ordered]
    )
    lasting = [
        each
        for each in ordered
        if set_up or now - (each.failing_since or now) > configuration.alerts.silent_after
    ]
    text = f"Letters in the mailbox {mailbox} that cannot be fetched: {len(ordered)}, {which}"
    return Problem(
        kind="unfetched",
        about=mailbox,
        incident=incident,
        where=mailbox,
        count=len(ordered),
        parties=sorted({each.party for each in lasting}),
        since=since,
        text=f"{text}: {what or 'for an unknown reason'}; {remedy or _SEE_ALL}",
        critical=is_long(configuration, since, now),
        passing=not set_up and len(ordered) < SEVERAL and now - since < NOTIFY_AFTER,
        notify=bool(lasting),
        patience=timedelta() if set_up else configuration.alerts.silent_after,
    )
