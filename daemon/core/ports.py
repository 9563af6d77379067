"""What a mailbox and a destination offer. A connector is one file that implements one of these.

A connector module also has `Settings` (a pydantic model, from `MailboxSettings` or `DestinationSettings`
of `settings`) and `connect(name, settings) -> Mailbox | Destination`, which opens no connection yet.
Every method may be called from several threads at a time, and may be repeated: Postmottak repeats
whatever it does not know to be done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from daemon.core.document import LetterDocument
from daemon.core.elapsed import SourceTime
from daemon.core.errors import PostmottakError
from daemon.core.model import Addressee, Letter, LetterRef, ParcelPart, Part, Receipt


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One place in a mailbox that is listed, and bookmarked, by itself."""

    party: str
    service: str
    resource: str
    presumed: bool = False
    """Nobody asked for this resource: that it cannot be read is worth a remark, not an error."""
    list_only: bool = False
    """Letters here are noticed and left alone: no overview, no download."""
    fetch_confidential: bool = False
    """A letter that turns out to be confidential may be fetched, for those whom the routing table
    appoints.
    """


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What one listing of a channel found."""

    refs: tuple[LetterRef, ...]
    shortfall: str = ""
    """Why there may be more letters than `refs`; empty if the listing is whole."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of what a check found."""

    subject: str
    ok: bool
    text: str
    """What is so, and if it is not well, what to do about it."""


class Mailbox(Protocol):
    """Where letters come from. Nothing here marks a letter as read but `mark_read`.

    The exception is a mailbox whose other side cannot open a letter without that: it says so in its
    settings (`mark_read = "fetched"`).
    """

    name: str

    def channels(self) -> Sequence[Channel]:
        """Everything to list, in the configuration's order."""

    def earliest(
        self, channel: Channel, position: datetime | None, now: datetime
    ) -> datetime | None:
        """From when on to list a channel that has been read up to `position` (None: never).

        None for everything.
        """

    def list(self, channel: Channel, since: datetime | None) -> Listing:
        """The letters of `channel` whose requested publish time is later than `since`, in any order.

        Raises MailboxUnavailable, or AccessRefused where the channel may not be read.
        """

    def fetch(self, ref: LetterRef) -> Letter:
        """The envelope and what is known of the attachments, without their bytes.

        It may know the service better than `ref` does.

        Raises LetterGone, MailboxUnavailable or AccessRefused; so do the methods below that tell
        the sender something.
        """

    def open_part(self, ref: LetterRef, part: Part) -> AbstractContextManager[Iterator[bytes]]:
        """A stream of the attachment's bytes, from the start.

        Raises, on opening or while it is read, PartUnavailable, AccessRefused or
        MailboxUnavailable.
        """

    def mark_read(self, ref: LetterRef) -> None:
        """Tell the sender that the letter was read. A letter that is marked already is no error."""

    def confirm(self, ref: LetterRef) -> None:
        """Tell the sender that the letter is confirmed.

        A letter that is confirmed already is no error.
        """

    def confirmed(self, ref: LetterRef) -> bool:
        """Whether a confirmation has taken effect.

        The other side may take its time after `confirm`, and may lose it.
        """

    def check(self) -> Iterator[Finding]:
        """Prove each step of the access, one finding a step; changes nothing."""

    def close(self) -> None:
        """Let go of connections. May be called twice."""


def nothing() -> None:
    """Does nothing."""


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """What a destination is handed: one letter, for one delivery.

    The same parcel may come again; its ids tell.
    """

    delivery_id: UUID
    generation: int
    destination: str
    addressees: tuple[Addressee, ...]
    document: LetterDocument
    body: bytes
    """The letter's text in UTF-8, as `document.body` describes it."""
    parts: tuple[ParcelPart, ...]
    """The attachments that are here, in the sender's order; those that are not are only in the
    document.
    """
    beat: Callable[[], None] = nothing
    """A sign of life, for whoever takes long without reading an attachment, which is one as well.
    May be called from any thread.
    """
    progress: Mapping[str, Any] = field(default_factory=dict)
    """What the destination said, in `TemporaryFailure.progress`, that it had done in earlier
    attempts of this delivery.
    """


@dataclass(frozen=True, kw_only=True)
class Discovered:
    """A resource that a party has letters in, or that the configuration looks for letters in."""

    party: str
    resource: str
    names: Mapping[str, str]
    """By language; empty if nobody knows the resource."""
    service: str | None
    """The code of the DPV service that it carries, as far as that can be told."""
    guessed: bool
    """The service follows from the resource's name only."""
    configured: bool
    """It is listed already."""
    readable: bool
    remark: str = ""
    """What else there is to know, such as why it is not readable."""


@runtime_checkable
class Discovers(Protocol):
    """A mailbox that can tell what its parties' mail can come under."""

    def discover(self) -> Iterator[Discovered]:
        """Every resource in use, and every one that is configured.

        Where something cannot be asked, a remark says so.
        """


@runtime_checkable
class TellsPublishing(Protocol):
    """A mailbox that can tell when a letter was published without calling it read."""

    def published(self, ref: LetterRef) -> datetime:
        """When the letter came into the mailbox, whatever date its sender gave it.

        Raises as `fetch` does.
        """


@runtime_checkable
class HasTokens(Protocol):
    """A mailbox that keeps tokens, which end."""

    def token_ends(self) -> datetime | None:
        """When the first of those in use ends, by this machine's clock; None while there is none.

        Asks nobody, and returns at once.
        """


@runtime_checkable
class TellsTime(Protocol):
    """A mailbox whose other side has a clock, and says what that says."""

    def source_time(self) -> SourceTime | None:
        """What it last said; None while nothing was heard.

        Asks nobody, and returns at once. From any thread.
        """


class PickupState(StrEnum):
    """What became of a parcel that lies where its receiver fetches it."""

    WAITING = "waiting"
    TAKEN = "taken"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True)
class Pickup:
    """What a destination sees of a parcel that it delivered.

    `reason` is the receiver's own, for a rejection.
    """

    state: PickupState
    reason: str = ""


@runtime_checkable
class AwaitsPickup(Protocol):
    """A destination that can tell whether the receiver has taken what was delivered."""

    await_pickup: timedelta | None
    """How long the receiver may take; None if delivering is the end of it."""

    def pickup(self, evidence: Mapping[str, Any]) -> Pickup:
        """What became of the parcel with this receipt (`reference` and the details).

        Raises TemporaryFailure if that cannot be seen now.
        """


@runtime_checkable
class ShowsPickup(Protocol):
    """A destination on this machine: that something was taken shows at once, as a change in a folder."""

    @property
    def pickup_folder(self) -> Path | None:
        """The folder in which it shows; None if there is nothing to see.

        A change there is a reason to ask `AwaitsPickup.pickup`.
        """


@runtime_checkable
class KeepsDedupRecords(Protocol):
    """A destination that keeps a trace of each delivery, by which it knows a repeat, until the store has the delivery's end."""

    def dedup_records(self) -> Sequence[UUID]:
        """The deliveries of which there is a trace, of this installation or of another one.

        Raises TemporaryFailure or PermanentFailure.
        """

    def forget(self, deliveries: Collection[UUID]) -> None:
        """Remove the traces of deliveries that will never come again.

        Raises as `dedup_records` does; what is left then may be settled later.
        """


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What somebody is to be told: that something is wrong, or no longer is.

    Without titles, contents or names of persons.
    """

    id: UUID
    """The same in every repeat."""
    kind: str
    ended: bool
    critical: bool
    subject: str
    text: str
    at: datetime
    """When it began, or ended."""


@runtime_checkable
class Notifies(Protocol):
    """A destination that can also tell somebody of alerts.

    Its settings say so: `DestinationSettings.can_notify`.
    """

    def notify(self, notification: Notification) -> None:
        """Tell it. Raises TemporaryFailure or PermanentFailure; it is told again later then."""


class Destination(Protocol):
    """Where letters go."""

    name: str

    def check(self) -> Iterator[Finding]:
        """Prove that a parcel could be delivered, and leave nothing behind."""

    def deliver(self, parcel: Parcel) -> Receipt:
        """Hand the parcel over, whole, and return only when the other side has it durably.

        A parcel that the other side has already is delivered, not an error and not delivered twice,
        as far as the other side lets itself be asked. Raises TemporaryFailure or PermanentFailure;
        anything else is a fault of the connector.
        """

    def close(self) -> None:
        """Let go of connections. May be called twice."""


@runtime_checkable
class BatchDestination(Protocol):
    """A destination that takes more deliveries at a time than others, and several in one call, because it knows repeats."""

    concurrency: int

    def deliver_batch(self, parcels: Sequence[Parcel]) -> Sequence[Receipt | PostmottakError]:
        """As `Destination.deliver` for each.

        What came of each, in the order of the parcels, of which there is one at least.

        None stops another one. Raises as `deliver` does if the destination cannot be used at all.
        """


@runtime_checkable
class LocalDestination(
    Destination, BatchDestination, KeepsDedupRecords, AwaitsPickup, ShowsPickup, Protocol
):
    """A destination on this machine: the service has its agent, a process of its own, do the work of its deliveries."""
