"""What a mailbox and a destination offer. A connector is one file that implements one of these.

A connector module also has `Settings` (a pydantic model, from `MailboxSettings` or
`DestinationSettings` of `settings`) and `connect(name, settings) -> Mailbox | Destination`, which
opens no connection yet. Every method may be called from several threads at a time, and may be
repeated: Postmottak repeats whatever it does not know to be done.
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

from daemon.core.callbacks import do_nothing
from daemon.core.document import LetterDocument
from daemon.core.elapsed import SourceTime
from daemon.core.errors import PostmottakError
from daemon.core.model import Letter, LetterRef, Part
from daemon.core.parcels import Addressee, ParcelPart, Receipt


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One part of a mailbox that is listed and bookmarked on its own."""

    party: str
    service: str
    resource: str
    presumed: bool = False
    """The resource was not configured: if it cannot be read, that is a remark, not an error."""
    list_only: bool = False
    """Letters here are only noted: no overview, no download."""
    fetch_confidential: bool = False
    """A letter that turns out to be confidential may be fetched for the appointed recipients."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The result of one listing of a channel."""

    refs: tuple[LetterRef, ...]
    shortfall: str = ""
    """Why there may be more letters than `refs`; empty if the listing is complete."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One result of a check."""

    subject: str
    ok: bool
    text: str
    """What was found, and if it is wrong, what to do about it."""
    warning: bool = False
    """Nothing fails (`ok`), but something may be missing, or is probably not what was meant."""


class Mailbox(Protocol):
    """Where letters come from. Only `mark_read` marks a letter as read.

    The exception is a mailbox whose server cannot open a letter without that: it says so in its
    settings (`mark_read = "fetched"`).
    """

    name: str

    def channels(self) -> Sequence[Channel]:
        """Return all channels to list, in the order of the configuration."""

    def earliest(
        self, channel: Channel, position: datetime | None, now: datetime
    ) -> datetime | None:
        """Return from when on to list a channel that has been read up to `position` (None: never).

        None for everything.
        """

    def list(self, channel: Channel, since: datetime | None) -> Listing:
        """List the letters of `channel` with a requested publish time after `since`, in any order.

        Raises MailboxUnavailable, or AccessRefused where the channel may not be read.
        """

    def fetch(self, ref: LetterRef) -> Letter:
        """Fetch the envelope and what is known of the attachments, without their bytes.

        The envelope may name the service more exactly than `ref` does. Raises LetterGone,
        MailboxUnavailable or AccessRefused; so do the methods below that set a mark.
        """

    def open_part(self, ref: LetterRef, part: Part) -> AbstractContextManager[Iterator[bytes]]:
        """Open a stream of the attachment's bytes, from the start.

        Raises, on opening or while it is read, PartUnavailable, AccessRefused or
        MailboxUnavailable.
        """

    def mark_read(self, ref: LetterRef) -> None:
        """Mark the letter as read. A letter that is marked already is not an error."""

    def confirm(self, ref: LetterRef) -> None:
        """Confirm the letter. A letter that is confirmed already is not an error."""

    def confirmed(self, ref: LetterRef) -> bool:
        """Whether a confirmation has taken effect.

        The server may take its time after `confirm`, and may lose it.
        """

    def check(self) -> Iterator[Finding]:
        """Check each step of the access, one finding per step; changes nothing."""

    def close(self) -> None:
        """Close connections. May be called twice."""


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """What a destination gets: one letter, for one delivery.

    The same parcel may come again, with the same ids.
    """

    delivery_id: UUID
    generation: int
    destination: str
    addressees: tuple[Addressee, ...]
    document: LetterDocument
    body: bytes
    """The letter's text in UTF-8, as `document.body` describes it."""
    parts: tuple[ParcelPart, ...]
    """The attachments that are stored, in the sender's order; the document lists the others too."""
    beat: Callable[[], None] = do_nothing
    """Sends a heartbeat, for work that takes long without reading an attachment, which sends one
    too. May be called from any thread.
    """
    confirm: Callable[[], None] = do_nothing
    """Call it last before the receiver can see the letter: it raises TemporaryFailure if another
    node may have taken over this delivery meanwhile. It costs nothing, and asks nobody.
    """
    progress: Mapping[str, Any] = field(default_factory=dict)
    """What earlier attempts of this delivery have done, from `TemporaryFailure.progress`."""


@dataclass(frozen=True, kw_only=True)
class Discovered:
    """A resource in which a party has letters, or which is configured."""

    party: str
    resource: str
    names: Mapping[str, str]
    """By language; empty if the resource is unknown."""
    service: str | None
    """The code of the DPV service that it carries, if known."""
    guessed: bool
    """The service follows from the resource's name only."""
    configured: bool
    """It is in the configuration."""
    readable: bool
    refused: bool = False
    """The party may not read it: it is not unreadable for another reason."""
    unanswered: str = ""
    """Which question about it or its party failed, other than by a refusal; empty if none did."""
    matched: str = ""
    """How the service is known: service code, id or title of the registry, configuration, or read
    before.
    """
    remark: str = ""
    """Anything else, such as why it is not readable."""


@runtime_checkable
class Discovers(Protocol):
    """A mailbox that can find the resources under which its parties get mail."""

    def discover(self) -> Iterator[Discovered]:
        """Return every resource that is in use or configured.

        A remark says where something could not be queried.
        """


@runtime_checkable
class FindsResources(Protocol):
    """A mailbox that can find out by itself which resources carry its services."""

    finds_resources: bool
    """Whether it is configured to."""

    @property
    def resource_question(self) -> tuple[str, ...]:
        """What `find_resources` asks: first the address, then the codes of the services.

        An answer to another question is not used.
        """

    def find_resources(self) -> Mapping[str, Sequence[str]]:
        """Ask which resources carry its services, by the service's code; changes nothing.

        A service that no resource carries is missing. Resources that must not be read as ordinary
        post are named under their own service, wanted or not. Raises MailboxUnavailable.
        """

    def use_resources(self, resources: Mapping[str, Sequence[str]]) -> None:
        """List these resources from now on; `channels` returns them at once. From any thread."""


@runtime_checkable
class TellsPublishing(Protocol):
    """A mailbox that knows when a letter was published, without marking it as read."""

    def published(self, ref: LetterRef) -> datetime:
        """Return when the letter came into the mailbox, whatever date its sender gave it.

        Raises: the errors of `fetch`.
        """


@runtime_checkable
class HasTokens(Protocol):
    """A mailbox with access tokens that expire."""

    def token_ends(self) -> datetime | None:
        """Return when the first token in use expires, by this machine's clock; None without one.

        Makes no call, and returns at once.
        """


@runtime_checkable
class TellsTime(Protocol):
    """A mailbox whose server reports its clock."""

    def source_time(self) -> SourceTime | None:
        """Return the time it reported last; None before the first answer.

        Makes no call, and returns at once. From any thread.
        """


class PickupState(StrEnum):
    """The state of a parcel that its receiver fetches."""

    WAITING = "waiting"
    TAKEN = "taken"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True)
class Pickup:
    """The state of a delivered parcel.

    `reason` is the receiver's own, for a rejection.
    """

    state: PickupState
    reason: str = ""


@runtime_checkable
class AwaitsPickup(Protocol):
    """A destination that knows whether the receiver has taken what was delivered."""

    await_pickup: timedelta | None
    """How long the receiver may take; None if pickups are not awaited."""

    def pickup(self, evidence: Mapping[str, Any]) -> Pickup:
        """Return the state of the parcel with this receipt (`reference` and the details).

        Raises TemporaryFailure if that is not known now.
        """


@runtime_checkable
class ShowsPickup(Protocol):
    """A destination on this machine, where a pickup shows at once, as a change in a folder."""

    @property
    def pickup_folder(self) -> Path | None:
        """Return the folder to watch, or None.

        After a change there, call `AwaitsPickup.pickup`.
        """


@runtime_checkable
class KeepsDedupRecords(Protocol):
    """A destination with a deduplication record of each delivery, by which it recognises a repeat.

    It keeps the record until the store has the delivery's result.
    """

    def dedup_records(self) -> Sequence[UUID]:
        """Return the deliveries that have a record, of this installation or of another one.

        Raises TemporaryFailure or PermanentFailure.
        """

    def forget(self, deliveries: Collection[UUID]) -> None:
        """Remove the records of deliveries that will never come again.

        Raises: the errors of `dedup_records`; records that are left may be removed later.
        """


@dataclass(frozen=True, kw_only=True)
class Notification:
    """A message about a problem that began or ended, without titles, contents or names of persons.

    With addresses of people, it is for them, and names the letters that wait for them.
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
    to: tuple[str, ...] = ()
    """The e-mail addresses of people; empty for those of the destination's settings."""


@runtime_checkable
class Notifies(Protocol):
    """A destination that can also send alerts.

    Its settings say so: `DestinationSettings.can_notify`.
    """

    def notify(self, notification: Notification) -> None:
        """Send it. Raises TemporaryFailure or PermanentFailure, after which it is sent again."""


@runtime_checkable
class SendsTests(Protocol):
    """A destination whose receiver can be sent a test that it does not take for a letter."""

    def send_test(self, sample: Parcel) -> str:
        """Send `sample`, which says in every part that it is a test.

        Returns a sentence about the result. Where the receiver allows it, nothing is left behind.
        Raises TemporaryFailure or PermanentFailure.
        """


class Destination(Protocol):
    """Where letters go."""

    name: str

    def check(self) -> Iterator[Finding]:
        """Check that a parcel could be delivered, and leave nothing behind."""

    def deliver(self, parcel: Parcel) -> Receipt:
        """Hand over the complete parcel, and return only when the receiver has it durably.

        A parcel that the receiver has already counts as delivered; it is neither an error nor
        delivered twice, if the receiver lets the connector check. Raises TemporaryFailure or
        PermanentFailure; anything else is a fault of the connector.
        """

    def close(self) -> None:
        """Close connections. May be called twice."""


@runtime_checkable
class BatchDestination(Protocol):
    """A destination that takes several deliveries in one call, because it recognises repeats.

    At most `concurrency` are in flight.
    """

    concurrency: int

    def deliver_batch(self, parcels: Sequence[Parcel]) -> Sequence[Receipt | PostmottakError]:
        """Deliver each of at least one parcel, as `Destination.deliver` does.

        Returns the result of each, in the order of the parcels; no failure stops the others.
        Raises: the errors of `deliver` if the destination cannot be used at all.
        """


@runtime_checkable
class LocalDestination(
    Destination, BatchDestination, KeepsDedupRecords, AwaitsPickup, ShowsPickup, Protocol
):
    """A destination on this machine, to which each worker process delivers what it has fetched."""

    one_process: bool
    """Whether only one process at a time may deliver to it."""
