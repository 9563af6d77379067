"""Compares all of a mailbox with the store, channel by channel, and fetches what is missing.

A poll looks a week back; this looks at all of it, so that whatever a poll could miss is found and
counted. What is dated before the first poll and has arrived since is missing as well: see
`backdated`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from daemon.core.bookkeeping import Bookmark
from daemon.core.completeness import Account
from daemon.core.connector_calls import call_connector
from daemon.core.errors import PostmottakError
from daemon.core.model import LetterRef, SightingState
from daemon.core.outside_values import is_storable, text_from
from daemon.core.ports import Channel, Mailbox
from daemon.core.times import has_passed
from daemon.intake.accounting import SourceLetters, account_of
from daemon.intake.backdated import Backdated
from daemon.intake.listing import first_listing_from
from daemon.intake.mailboxes import PolledMailbox
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import Intake
from daemon.store import Store

_log = structlog.get_logger(__name__)
_LOOKS = 1000
"""Older letters that one round asks a mailbox about, with one call each; the rest follow later."""


@dataclass(kw_only=True)
class Compared:
    """One channel: what the mailbox has, what is here, and the difference by the mailbox's ids."""

    party: str
    service: str
    resource: str
    remote: int = 0
    local: int = 0
    waiting: int = 0
    """Confidential, and left alone."""
    gone: int = 0
    older: int = 0
    """Dated before the time from which the first poll listed (`start_from`): not to be fetched."""
    late: int = 0
    """Missing letters that are dated so but have arrived since, and so must be fetched."""
    unseen: int = 0
    """Older letters about which the mailbox has not been asked yet."""
    missing: list[str] = field(default_factory=list)
    fetched: int = 0
    """How many of the missing letters are stored now."""
    problems: list[str] = field(default_factory=list)
    account: Account | None = None
    """Where every letter of the source is after the fetching; None if it was not listed whole."""

    @property
    def sentence(self) -> str:
        """The same in words."""
        text = (
            f"{self.party} {self.service} {self.resource}: Altinn {self.remote}, here {self.local}"
        )
        if beside := ", ".join(f"{count} {what}" for what, count in self._beside() if count):
            text += f" ({beside})"
        return (
            f"{text}, missing: {', '.join(self.missing)}; {self.fetched} fetched now"
            if self.missing
            else text
        )

    def _beside(self) -> Iterator[tuple[str, int]]:
        yield "confidential and left alone", self.waiting
        yield "gone", self.gone
        yield "older than the first poll", self.older
        yield "of these not checked yet", self.unseen
        yield "dated before the first poll but arrived since", self.late


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """Compares mailboxes with the store."""

    store: Store
    intake: Intake

    def run(
        self,
        mailbox: Mailbox,
        policies: MarkPolicies,
        stopping: threading.Event,
        channels: Sequence[Channel] | None = None,
    ) -> list[Compared]:
        """Compare every channel, or `channels`, and fetch what is missing.

        A problem with one is reported, and affects no other. Raises StoreError.
        """
        found: list[Compared] = []
        looks = _LOOKS
        for channel in mailbox.channels() if channels is None else channels:
            if stopping.is_set():
                break
            compared = Compared(
                party=channel.party, service=channel.service, resource=channel.resource
            )
            looked = call_connector(
                partial(self._compare, mailbox, channel, policies, compared, looks, stopping),
                party=channel.party,
                resource=channel.resource,
            )
            if isinstance(looked, PostmottakError):
                compared.problems.append(str(looked))
            else:
                looks -= looked
            if not stopping.is_set():  # what it kept from being fetched is no shortfall
                self._record(mailbox, channel, compared)
            _log.info(
                "reconciled",
                party=channel.party,
                resource=channel.resource,
                remote=compared.remote,
                local=compared.local,
                missing=len(compared.missing),
                late=compared.late,
                fetched=compared.fetched,
                problems=compared.problems,
            )
            found.append(compared)
        return found

    def _compare(
        self,
        mailbox: Mailbox,
        channel: Channel,
        policies: MarkPolicies,
        compared: Compared,
        looks: int,
        stopping: threading.Event,
    ) -> int:
        """Compare one channel, and fetch what is missing.

        Returns how many older letters it asked about, at most `looks`.
        """
        listing, now = mailbox.list(channel, None), self.intake.fetcher.clock()
        compared.problems += [listing.shortfall] if listing.shortfall else []
        remote = {ref.external_id: ref for ref in listing.refs if is_storable(ref.external_id)}
        here, deleted = self.store.letters.here_and_deleted(mailbox.name, channel)
        local = here | deleted
        seen = self.store.letters.sighted_in(mailbox.name, channel)
        compared.remote, compared.local = len(remote), len(local)
        states = Counter(seen.values())
        compared.waiting, compared.gone = states[SightingState.WAITING], states[SightingState.GONE]
        unknown = [
            ref
            for key, ref in remote.items()
            if key not in local and seen.get(key) in {None, SightingState.FAILING}
        ]
        missing, older = self._meant(mailbox, channel, unknown, seen)
        come = self._backdated.look(mailbox, channel, older, looks, stopping)
        if not listing.shortfall:
            self.store.bookmarks.compared(mailbox.name, channel, now)
        compared.older = (
            len(older)
            + sum(seen.get(key) is SightingState.OLDER for key in remote)
            - len(come.refs)
            - come.waiting
        )
        compared.late, compared.unseen = len(come.refs), come.unseen
        compared.waiting += come.waiting
        compared.problems += come.problems
        wanted = [*missing, *come.refs]
        failed = self._fetch(mailbox, channel, policies, wanted, compared, stopping)
        if not listing.shortfall:
            listed = SourceLetters(
                remote=remote,
                unusable=sum(not is_storable(ref.external_id) for ref in listing.refs),
                here=here,
                deleted=deleted,
                older={ref.external_id for ref in older} - {ref.external_id for ref in come.refs},
                tried=compared.missing if failed else (),
                unexamined=come.unseen,
            )
            compared.account = account_of(self.store, listed)
        return come.looked

    def _record(self, mailbox: Mailbox, channel: Channel, compared: Compared) -> None:
        """Keep what was found, so that it can be shown how complete the store is."""
        now, rows = self.intake.fetcher.clock(), self.store.completeness
        if compared.account:
            rows.note(mailbox.name, channel, compared.account, now)
        else:
            problem = text_from("; ".join(compared.problems)) or "not listed as a whole"
            rows.note_failure(mailbox.name, channel, problem, now)

    @property
    def _backdated(self) -> Backdated:
        return Backdated(
            store=self.store, clock=self.intake.fetcher.clock, workers=self.intake.here.workers
        )

    def _meant(
        self,
        mailbox: Mailbox,
        channel: Channel,
        unknown: list[LetterRef],
        seen: Mapping[str, SightingState],
    ) -> tuple[list[LetterRef], list[LetterRef]]:
        """Return the letters that a poll should have found, and the older ones.

        A poll should have found those that are dated after the time from which the channel's first
        poll listed, and those that failed.
        """
        bookmark: Bookmark = self.store.bookmarks.of_channel(mailbox.name, channel)
        begins_at = (
            bookmark.begins_at
            if bookmark.begun
            else first_listing_from(mailbox, channel, bookmark, self.intake.fetcher.clock())
        )
        if not unknown or begins_at is None:
            return unknown, []
        since = {ref.external_id for ref in mailbox.list(channel, begins_at).refs} | seen.keys()
        return [ref for ref in unknown if ref.external_id in since], [
            ref for ref in unknown if ref.external_id not in since
        ]

    def _fetch(
        self,
        mailbox: Mailbox,
        channel: Channel,
        policies: MarkPolicies,
        refs: Sequence[LetterRef],
        compared: Compared,
        stopping: threading.Event,
    ) -> bool:
        """Fetch them, or note them where a channel is only listed. Returns whether one failed."""
        compared.missing = sorted(ref.external_id for ref in refs)
        if not refs:
            return False
        if channel.list_only:
            self.store.letters.record_waiting(refs, self.intake.fetcher.clock())
            return False
        summary = self.intake.fetch(mailbox, policies, [(channel, ref) for ref in refs], stopping)
        compared.fetched = summary.stored
        compared.problems += summary.problems
        return bool(summary.problems)


def is_due(store: Store, boxes: Sequence[PolledMailbox], every: timedelta, now: datetime) -> bool:
    """Whether a readable channel has not been compared for this long.

    A channel that was never read is polled first.
    """
    bells = {each.mailbox.name for each in boxes if each.bell}
    readable = (
        each
        for each in store.queries.bookmarks()
        if each.begun and not (each.refused or each.retired_at or each.mailbox in bells)
    )
    return any(has_passed(every, each.compared_at, now) for each in readable)
