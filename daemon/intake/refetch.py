"""Fetches a stored letter's missing attachments again, when an operator asks for it.

What is stored already never gets worse. It works beside a running service: bytes first, durable,
and none are removed meanwhile; then one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog

from daemon.core.connector_calls import call_connector
from daemon.core.errors import LetterGone, PostmottakError
from daemon.core.model import (
    KEPT_STATES,
    Attachment,
    AttachmentValues,
    Delivery,
    DeliveryState,
    Letter,
    Message,
    Part,
    PartState,
)
from daemon.core.openings import OpensStored
from daemon.core.ports import Mailbox
from daemon.intake.fetch import Fetcher
from daemon.store import Store

_log = structlog.get_logger(__name__)
_NEEDLESS = frozenset({PartState.PRESENT, PartState.DELETED})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The outcome of fetching one attachment again."""

    position: int
    name: str
    before: PartState
    after: PartState
    problem: str = ""
    """Why it could not be fetched now, or what the source says."""

    @property
    def came(self) -> bool:
        """Whether it is stored now as it was sent."""
        return self.after is PartState.PRESENT


@dataclass(frozen=True, kw_only=True)
class Refetch:
    """Fetches missing attachments again."""

    store: Store
    fetcher: Fetcher
    clock: Callable[[], datetime]

    def run(self, mailbox: Mailbox, message: Message, *, accept: bool = False) -> list[Asked]:
        """Fetch each attachment that is not stored as it was sent, and keep what comes.

        What can never come any more, and with `accept` whatever did not come, holds up no mark from
        then on; marks are due at once. Returns an empty list if the letter is complete. May be
        repeated. Raises MailboxError or ConnectorFault if the letter cannot be requested,
        StoreError if nothing can be kept.
        """
        wanting = [
            each
            for each in self.store.queries.attachments(message.id)
            if each.state not in _NEEDLESS
        ]
        if not wanting:
            return []
        with self.fetcher.content.guarded(alone=False):
            letter = self._letter(mailbox, message)
            answers = [self._ask(mailbox, message, each, letter) for each in wanting]
            self.store.attachments.complete(
                [values for _, values in answers], self.clock(), self.fetcher.content.has
            )
        if accept:
            self.store.attachments.accept(message.id, self.clock())
        self.store.marks.due_now(message.id, self.clock())
        asked = [each for each, _ in answers]
        _log.info(
            "asked again",
            message=str(message.id),
            missing=len(asked),
            came=sum(each.came for each in asked),
        )
        return asked

    def without(self, message: UUID) -> list[Delivery]:
        """Return each destination's newest delivery if it is delivered or in flight.

        The first were made without the attachments, and the second may be.
        """
        newest: dict[str, Delivery] = {}
        for each in self.store.queries.deliveries(message_id=message):
            if each.state is not DeliveryState.WITHDRAWN and (
                each.destination not in newest
                or each.generation > newest[each.destination].generation
            ):
                newest[each.destination] = each
        return [
            each
            for each in newest.values()
            if each.state in {DeliveryState.DELIVERED, DeliveryState.CLAIMED}
        ]

    def _letter(self, mailbox: Mailbox, message: Message) -> Letter | None:
        opening, fetch = self.store.openings.of(message.id), mailbox.fetch
        if isinstance(mailbox, OpensStored) and opening and opening.opened_at:
            fetch = mailbox.open_stored
        found = call_connector(partial(fetch, message.ref), message=str(message.id))
        if isinstance(found, LetterGone):
            return None
        if isinstance(found, PostmottakError):
            raise found
        return found

    def _ask(
        self, mailbox: Mailbox, message: Message, old: Attachment, letter: Letter | None
    ) -> tuple[Asked, AttachmentValues]:
        part = None if letter is None else _same(letter.parts, old)
        if part is None:
            what = "letter" if letter is None else "attachment"
            return self._answer(
                old, _values(old, state=PartState.PURGED), f"the source no longer has the {what}"
            )
        new = call_connector(
            partial(self.fetcher.fetch_part, mailbox, message.ref, part, old.position),
            message=str(message.id),
            position=str(old.position),
        )
        if isinstance(new, PostmottakError):
            return self._answer(old, _values(old), str(new))
        return self._answer(old, new, "")

    def _answer(
        self, old: Attachment, new: AttachmentValues, problem: str
    ) -> tuple[Asked, AttachmentValues]:
        """Return what to keep: damaged bytes beat none, and stay until better ones come."""
        if old.state in KEPT_STATES and new.state not in KEPT_STATES:
            problem = problem or f"the source says that it is {new.state}; the earlier copy stays"
            new = _values(old, accepted_at=self.clock())
        asked = Asked(
            position=old.position,
            name=old.safe_name,
            before=old.state,
            after=new.state,
            problem=problem,
        )
        return asked, new


def _values(old: Attachment, **changes: object) -> AttachmentValues:
    return AttachmentValues(**{**old.model_dump(), **changes})


def _same(parts: Sequence[Part], old: Attachment) -> Part | None:
    """Return the attachment in the letter as it is now, by its position where it has no id."""
    if old.external_id:
        return next((each for each in parts if each.external_id == old.external_id), None)
    return parts[old.position - 1] if old.position <= len(parts) else None
