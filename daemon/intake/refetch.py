"""A stored letter's missing attachments, asked for again at an operator's word.

What is here already is never made worse by it.

It works beside a running service: bytes first, durable, and while they are put nobody removes any;
then one transaction.
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
from daemon.core.ports import Mailbox
from daemon.intake.fetch import Fetcher
from daemon.store import Store

_log = structlog.get_logger(__name__)
_NEEDLESS = frozenset({PartState.PRESENT, PartState.DELETED})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What came of asking for one attachment again."""

    position: int
    name: str
    before: PartState
    after: PartState
    problem: str = ""
    """Why it could not be asked for now, or what the source says."""

    @property
    def came(self) -> bool:
        """Whether it is here now as it was sent."""
        return self.after is PartState.PRESENT


@dataclass(frozen=True, kw_only=True)
class Refetch:
    """Asks again."""

    store: Store
    fetcher: Fetcher
    clock: Callable[[], datetime]

    def run(self, mailbox: Mailbox, message: Message, *, accept: bool = False) -> list[Asked]:
        """Ask for each attachment that is not here as it was sent, and keep what comes.

        None if the letter is whole.

        What can never come any more, and with `accept` whatever did not come, holds up no mark from
        then on; marks are due at once. May be repeated. Raises MailboxError if nothing could be
        asked, StoreError if nothing can be kept.
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
            told = [self._ask(mailbox, message, each, letter) for each in wanting]
            self.store.letters.complete([values for _, values in told])
        if accept:
            self.store.letters.accept(message.id, self.clock())
        self.store.marks.due_now(message.id, self.clock())
        asked = [each for each, _ in told]
        _log.info(
            "asked again",
            message=str(message.id),
            missing=len(asked),
            came=sum(each.came for each in asked),
        )
        return asked

    def without(self, message: UUID) -> list[Delivery]:
        """The newest deliveries that each destination got before anything came.

        And those under way, which may be without it.
        """
        newest: dict[str, Delivery] = {}
        for each in self.store.queries.deliveries(message_id=message):
            if (
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
        found = call_connector(partial(mailbox.fetch, message.ref), message=str(message.id))
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
            return self._told(
                old, _values(old, state=PartState.PURGED), f"the source has the {what} no longer"
            )
        new = call_connector(
            partial(self.fetcher.fetch_part, mailbox, message.ref, part, old.position),
            message=str(message.id),
            position=str(old.position),
        )
        if isinstance(new, PostmottakError):
            return self._told(old, _values(old), str(new))
        return self._told(old, new, "")

    def _told(
        self, old: Attachment, new: AttachmentValues, problem: str
    ) -> tuple[Asked, AttachmentValues]:
        """What is to be kept: bytes that are not as they were sent are better than none, and stay until better ones come."""
        if old.state in KEPT_STATES and new.state not in KEPT_STATES:
            problem = problem or f"the source says that it is {new.state}; what came before stays"
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
    """The attachment in the letter as it now is; by its place where it has no id."""
    if old.external_id:
        return next((each for each in parts if each.external_id == old.external_id), None)
    return parts[old.position - 1] if old.position <= len(parts) else None
