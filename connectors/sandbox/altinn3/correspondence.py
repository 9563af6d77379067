"""The letters of the simulated Altinn, and how they change: the real server's rules, without HTTP.

File names in the docstrings are those of Altinn/altinn-correspondence; APP is its
src/Altinn.Correspondence.Application.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from connectors.sandbox.altinn3.problems import Problem
from connectors.sandbox.altinn3.records import AttachmentRecord, Record, new_record
from connectors.sandbox.clock import Clock
from connectors.sandbox.letters import AttachmentStatus, PretendLetter, Status

_HIDDEN_IN_LISTS = {Status.Initialized, Status.ReadyForPublish, Status.Failed}
_UNAVAILABLE = _HIDDEN_IN_LISTS | {Status.PurgedByRecipient, Status.PurgedByAltinn}
_PURGED = {Status.PurgedByRecipient, Status.PurgedByAltinn}
_FETCH_DEBOUNCE = timedelta(seconds=15)
_FIRST = datetime.min.replace(tzinfo=UTC)
LIST_LIMIT = 1000


class StorageFailure(Exception):
    """Altinn's storage lacks the bytes; the server does not expect that, and answers 500."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks, as far as the rules need it."""

    organisation: str
    may_read: Callable[[str, str], bool]
    """Whether the caller may read that resource for that party."""
    sends: bool = False
    """Whether the token has the write scope: the caller then counts as a sender, and leaves no
    Fetched.
    """


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The filters of a list."""

    resource: str
    party: str
    since: datetime | None = None
    until: datetime | None = None
    status: Status | None = None
    senders_reference: str | None = None
    idempotent_key: str | None = None
    altinn2_id: int | None = None


class Correspondences:
    """All letters.

    All methods may be called from any thread, and raise Problem where the real server refuses.
    """

    def __init__(self, clock: Clock) -> None:
        self.confirm_delay = timedelta(seconds=4)
        self.confirmations_take = True
        """If false, confirming is answered as usual, but its row never comes
        (APP/VerifyCorrespondenceConfirmation).
        """
        self.lock = threading.RLock()
        self._clock = clock
        self._records: dict[str, Record] = {}
        self._channels: dict[tuple[str, str], list[tuple[datetime, str]]] = {}
        self._by_key: dict[str, str] = {}

    def publish(self, letter: PretendLetter) -> str:
        """Take a letter in and return its id."""
        record = new_record(letter, self._clock.now())
        with self.lock:
            if record.id in self._records:
                raise ValueError(f"a letter with the id {record.id} exists already")
            self._records[record.id] = record
            channel = self._channels.setdefault((letter.resource, letter.party), [])
            bisect.insort(channel, (record.requested_at, record.id))
            if letter.idempotent_key:
                self._by_key[letter.idempotent_key.lower()] = record.id
        return record.id

    def record(self, letter_id: str) -> Record:
        """Return the letter with that id, with everything due applied. Raises Problem 1001."""
        with self.lock:
            record = self._records.get(letter_id)
            if not record:
                raise Problem(1001)
            self._settle(record)
            return record

    def resources(self) -> frozenset[str]:
        """Return the resources under which there are letters."""
        with self.lock:
            return frozenset(resource for resource, _ in self._channels)

    def advance(self, letter_id: str, status: Status) -> None:
        """Change a letter's status from outside: published, failed, or purged by Altinn."""
        with self.lock:
            record = self.record(letter_id)
            now = self._clock.now()
            record.add(status, now)
            if status is Status.Published:
                record.published_at = now

    def set_attachment(self, letter_id: str, attachment_id: str, status: AttachmentStatus) -> None:
        """Change an attachment's status from outside."""
        with self.lock:
            part = _part(self.record(letter_id), attachment_id)
            part.status, part.status_at = status, self._clock.now()

    def list(self, caller: Caller, filters: Filters) -> tuple[str, ...]:
        """List as APP/GetCorespondences/GetCorrespondencesHandler.cs does.

        Newest requested time first, cut at 1000 without an indication.
        """
        if filters.since and filters.until and filters.since > filters.until:
            raise Problem(1027)
        if not caller.may_read(filters.party, filters.resource):
            raise Problem(4001)
        with self.lock:
            if filters.idempotent_key:
                found = self._by_key.get(filters.idempotent_key.lower())
                return (found,) if found else ()
            channel = self._channels.get((filters.resource, filters.party), [])
            if filters.altinn2_id is not None:
                migrated = (
                    each
                    for _, each in channel
                    if self._records[each].letter.altinn2_id == filters.altinn2_id
                )
                return tuple(islice(migrated, 1))
            return self._listed(channel, filters)

    def _listed(self, channel: Sequence[tuple[datetime, str]], filters: Filters) -> tuple[str, ...]:
        first = bisect.bisect_right(channel, (filters.since, "~")) if filters.since else 0
        last = bisect.bisect_left(channel, (filters.until, "")) if filters.until else len(channel)
        found: list[str] = []
        for position in range(last - 1, first - 1, -1):
            letter_id = channel[position][1]
            if self._passes(self._records[letter_id], filters):
                found.append(letter_id)
                if len(found) == LIST_LIMIT:
                    break
        return tuple(found)

    def _passes(self, record: Record, filters: Filters) -> bool:
        if (
            filters.senders_reference
            and record.letter.senders_reference != filters.senders_reference
        ):
            return False
        if filters.status is None:
            return record.newest.status not in _HIDDEN_IN_LISTS
        if filters.status in _HIDDEN_IN_LISTS:
            return False
        self._settle(record)
        # Fetched rows lie in a table that the filter does not look at.
        return any(row.status is filters.status for row in record.rows)

    def overview(self, caller: Caller, letter_id: str) -> Record:
        """Do as APP/GetCorrespondenceOverview.

        Leaves a Fetched row, at most one in 15 seconds for each calling party.
        """
        with self.lock:
            record = self._readable(caller, letter_id)
            if not caller.sends:
                self._publish_if_overdue(record)
            if any(record.has_been(status) for status in _PURGED):
                raise Problem(1001)
            if not caller.sends:
                _require_available(record)
                self._fetch_debounced(record, caller)
            return record

    def details(self, caller: Caller, letter_id: str) -> Record:
        """Do as APP/GetCorrespondenceDetails: leaves a Fetched row each time."""
        with self.lock:
            record = self._readable(caller, letter_id)
            if not caller.sends:
                _require_available(record)
                record.add(Status.Fetched, self._clock.now())
            return record

    def content(self, caller: Caller, letter_id: str) -> Record:
        """Do as APP/GetCorrespondenceOverview with OnlyGettingContent: marks as read."""
        with self.lock:
            record = self.overview(caller, letter_id)
            if not caller.sends and not record.has_been(Status.Read):
                record.add(Status.Read, self._clock.now())
            return record

    def mark_read(self, caller: Caller, letter_id: str) -> None:
        """Do as APP/MarkCorrespondenceAsRead."""
        with self.lock:
            record = self._readable(caller, letter_id)
            _require_available(record)
            if not record.fetched:
                raise Problem(1024)
            if record.has_been(Status.Read):
                raise Problem(1040)
            record.add(Status.Read, self._clock.now())

    def confirm(self, caller: Caller, letter_id: str) -> None:
        """Do as APP/ConfirmCorrespondence.

        The row comes later, if it comes, and has the time of the call.
        """
        with self.lock:
            record = self._readable(caller, letter_id)
            _require_available(record)
            if not record.fetched:
                raise Problem(1025)
            if record.has_been(Status.Confirmed):
                raise Problem(1041)
            if self.confirmations_take:
                now = self._clock.now()
                record.confirmations.append((now + self.confirm_delay, now))

    def purge(self, caller: Caller, letter_id: str) -> None:
        """Do as APP/PurgeCorrespondence, by the recipient's rules.

        A purge that another status hides is repeated without effect.
        """
        with self.lock:
            record = self.record(letter_id)
            if any(kind == "DialogportenTransmissionId" for kind, _ in record.references):
                raise Problem(1043)
            if not caller.may_read(record.letter.party, record.letter.resource):
                raise Problem(4001)
            if record.highest.status in _PURGED:
                raise Problem(1014)
            _require_available(record)
            if record.letter.confirmation_needed and not record.has_been(Status.Confirmed):
                raise Problem(1026)
            if not record.has_been(Status.PurgedByRecipient):
                self._purge(record)

    def download(self, caller: Caller, letter_id: str, attachment_id: str) -> AttachmentRecord:
        """Do as APP/DownloadCorrespondenceAttachment.

        Leaves a row each time, before the first byte. Needs no Fetched. Also raises StorageFailure,
        and then leaves no row.
        """
        with self.lock:
            record = self.record(letter_id)
            part = _part(record, attachment_id)
            if not caller.may_read(record.letter.party, part.resource):
                raise Problem(4001)
            now = self._clock.now()
            if part.status is AttachmentStatus.Purged:
                raise Problem(2019)
            expires = part.attachment.expires_at
            if part.status is AttachmentStatus.Expired or (expires and expires <= now):
                raise Problem(2020)
            _require_available(record)
            if (
                part.status is not AttachmentStatus.Published
                or part.attachment.data_location_type == "ExternalStorage"
            ):
                raise StorageFailure
            record.add(
                Status.AttachmentsDownloaded, now, f"Attachment {part.id} has been downloaded"
            )
            return part

    def _readable(self, caller: Caller, letter_id: str) -> Record:
        record = self.record(letter_id)
        if not caller.may_read(record.letter.party, record.letter.resource):
            raise Problem(4001)
        return record

    def _publish_if_overdue(self, record: Record) -> None:
        has_dialog = any(kind == "DialogportenDialogId" for kind, _ in record.references)
        waits = not record.has_been(Status.Published) and not record.has_been(Status.Failed)
        now = self._clock.now()
        if waits and has_dialog and record.requested_at <= now:
            record.add(Status.Published, now)
            record.published_at = now

    def _fetch_debounced(self, record: Record, caller: Caller) -> None:
        now = self._clock.now()
        if now - record.last_fetch.get(caller.organisation, _FIRST) >= _FETCH_DEBOUNCE:
            record.last_fetch[caller.organisation] = now
            record.add(Status.Fetched, now)

    def _settle(self, record: Record) -> None:
        """Write the rows of confirmations that have become due."""
        now = self._clock.now()
        for due, asked in [each for each in record.confirmations if each[0] <= now]:
            record.confirmations.remove((due, asked))
            if not record.has_been(Status.Confirmed):
                record.add(Status.Confirmed, asked)

    def _purge(self, record: Record) -> None:
        now = self._clock.now()
        record.add(Status.PurgedByRecipient, now)
        for part in record.attachments:
            if part.status not in {AttachmentStatus.Purged, AttachmentStatus.Expired}:
                part.status, part.status_at = AttachmentStatus.Purged, now


def _require_available(record: Record) -> None:
    if record.highest.status in _UNAVAILABLE:
        raise Problem(1001)


def _part(record: Record, attachment_id: str) -> AttachmentRecord:
    for part in record.attachments:
        if part.id == attachment_id:
            return part
    raise Problem(2001)
