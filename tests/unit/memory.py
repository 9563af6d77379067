"""A mailbox and a destination that live in memory, and fail as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from daemon.core.model import Envelope, Letter, LetterRef, Part
from daemon.core.parcels import Receipt
from daemon.core.ports import Channel, Finding, Listing, Parcel
from tests.unit.conftest import TAX, envelope, md5


def nothing_happens(*_: object) -> None:
    """What a fake does besides its work, unless a test says otherwise."""


@dataclass
class MemoryMailbox:
    """A mailbox in memory: keeps what is published, notes what it is asked, and fails as it is
    told.

    `fails[verb, what]` yields the errors of the next calls; `during` is called in the middle of
    each call. `contents` are the versions of a file that are served one after another, the last one
    for ever; `twists` are what it says of a letter beside the truth.
    """

    name: str = "altinn"
    boxes: list[Channel] = field(default_factory=lambda: [TAX])
    look_back: timedelta = timedelta(days=7)
    letters: dict[str, tuple[Channel, Letter]] = field(default_factory=dict)
    contents: dict[str, list[bytes]] = field(default_factory=dict)
    shortfall: str = ""
    fails: dict[tuple[str, str], Iterator[Exception]] = field(default_factory=dict)
    during: Callable[[str, str], None] = nothing_happens
    twists: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    listed_since: list[datetime | None] = field(default_factory=list)
    told_read: list[str] = field(default_factory=list)
    told_confirmed: list[str] = field(default_factory=list)
    closed: bool = False

    def publish(
        self, external_id: str, *files: bytes, channel: Channel = TAX, **changes: Any
    ) -> LetterRef:
        """Put a letter into the box."""
        parts = []
        for number, content in enumerate(files, start=1):
            key = f"{external_id}/{number}"
            self.contents[key] = [content]
            parts.append(
                Part(
                    external_id=key,
                    original_name=f"Vedlegg {number}.pdf",
                    sender_checksum=md5(content),
                )
            )
        sent = envelope(external_id, channel, mailbox=self.name, **changes)
        self.letters[external_id] = (channel, Letter(envelope=sent, parts=tuple(parts)))
        return sent.ref

    def asked(self, verb: str) -> list[str]:
        """What `verb` was called for, in order."""
        return [what for called, what in self.calls if called == verb]

    def _called(self, verb: str, what: str) -> None:
        self.calls.append((verb, what))
        self.during(verb, what)
        error = next(self.fails.get((verb, what), iter(())), None)
        if error:
            raise error

    def channels(self) -> Sequence[Channel]:
        """Everything to list."""
        return tuple(self.boxes)

    def earliest(
        self,
        channel: Channel,  # noqa: ARG002  # a port\'s argument
        position: datetime | None,
        now: datetime,  # noqa: ARG002
    ) -> datetime | None:  # the port's
        """Look back from the bookmark; at first, list everything."""
        return position - self.look_back if position else None

    def list(self, channel: Channel, since: datetime | None) -> Listing:
        """The channel's letters later than `since`."""
        self.listed_since.append(since)
        self._called("list", channel.resource)
        here = {
            name: letter.envelope for name, (box, letter) in self.letters.items() if box == channel
        }
        late = {
            name: each
            for name, each in here.items()
            if since is None or (each.requested_at or each.published_at) > since
        }
        refs = tuple(replace(each.ref, external_id=name) for name, each in late.items())
        return Listing(refs=refs, shortfall=self.shortfall)

    def fetch(self, ref: LetterRef) -> Letter:
        """The letter."""
        self._called("fetch", ref.external_id)
        letter, twist = self.letters[ref.external_id][1], self.twists.get(ref.external_id)
        return (
            replace(letter, envelope=Envelope.model_validate(letter.envelope.model_dump() | twist))
            if twist
            else letter
        )

    @contextmanager
    # the port's
    def open_part(self, ref: LetterRef, part: Part) -> Iterator[Iterator[bytes]]:  # noqa: ARG002
        """The file's bytes, three at a time; what fails does so after the first three."""
        versions = self.contents[part.external_id]
        content = versions.pop(0) if len(versions) > 1 else versions[0]
        yield self._stream(part, content)

    def _stream(self, part: Part, content: bytes) -> Iterator[bytes]:
        yield content[:3]
        self._called("open_part", part.external_id)
        for start in range(3, len(content), 3):
            yield content[start : start + 3]

    def mark_read(self, ref: LetterRef) -> None:
        """Note that the sender was told Read."""
        self._called("mark_read", ref.external_id)
        self.told_read.append(ref.external_id)

    def confirm(self, ref: LetterRef) -> None:
        """Note that the sender was told Confirmed."""
        self._called("confirm", ref.external_id)
        self.told_confirmed.append(ref.external_id)

    def confirmed(self, ref: LetterRef) -> bool:
        """Whether the sender was told Confirmed."""
        self._called("confirmed", ref.external_id)
        return ref.external_id in self.told_confirmed

    def check(self) -> Iterator[Finding]:
        """All is well here."""
        yield Finding(subject=self.name, ok=True, text="is in memory")

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


@dataclass
class MemoryDestination:
    """A destination in memory: keeps each parcel with its bytes, once for each delivery id, and
    fails as it is told."""

    name: str = "erp"
    fails: Iterator[Exception] = field(default_factory=lambda: iter(()))
    during: Callable[[Parcel], None] = nothing_happens
    handed: list[Parcel] = field(default_factory=list)
    kept: dict[UUID, dict[str, bytes]] = field(default_factory=dict)
    closed: bool = False

    def check(self) -> Iterator[Finding]:
        """All is well here."""
        yield Finding(subject=self.name, ok=True, text="is in memory")

    def deliver(self, parcel: Parcel) -> Receipt:
        """Keep the parcel, or fail before anything is kept."""
        self.handed.append(parcel)
        self.during(parcel)
        error = next(self.fails, None)
        if error:
            raise error
        files = {
            "message.json": parcel.document.model_dump_json().encode(),
            parcel.document.body.name: parcel.body,
        }
        for part in parcel.parts:
            with part.open() as file:
                files[part.name] = file.read()
        self.kept.setdefault(parcel.delivery_id, files)
        return Receipt(
            reference=f"{self.name}/{parcel.delivery_id}", details={"files": sorted(files)}
        )

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True
