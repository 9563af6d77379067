"""Files that come later than their letters: asked for again, kept, and delivered where they lack.

A letter is delivered without a file that cannot be had. The file is asked for again, less and less
often; once it is here, the letter is delivered again, as a new generation, to every destination
that got it without. Each step is recorded before the next, so that a crash repeats work and loses
nothing. Letters that are to be opened only when they are stored are opened here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog

from daemon.core.callbacks import do_nothing
from daemon.core.connector_calls import call_connector
from daemon.core.errors import ContentMissing, LetterGone, MailboxUnavailable, PostmottakError
from daemon.core.filenames import safe_name
from daemon.core.missing_files import Lack, MissingFile, MissingFileValues, OpeningRow
from daemon.core.model import Attachment, AttachmentValues, Letter, Message, Part, PartState
from daemon.core.openings import OpensStored
from daemon.core.outside_values import storable, text_from
from daemon.core.ports import Mailbox
from daemon.intake.fetch import Fetcher, missing_values
from daemon.intake.file_retries import next_try
from daemon.intake.poll import Intake
from daemon.store import Store

_log = structlog.get_logger(__name__)
_AT_ONCE = 20
"""Files and openings of one round; the rest follow in the next."""
_FETCHED_NEXT = Lack(reason="the letter has been opened for it, and it is fetched next")


@dataclass(frozen=True, kw_only=True)
class LateFiles:
    """Asks for files again. For one thread for each mailbox."""

    store: Store
    fetcher: Fetcher
    clock: Callable[[], datetime]
    beat: Callable[[], None] = do_nothing

    def run(self, mailbox: Mailbox, stopping: threading.Event) -> int:
        """Open what is to be opened, ask for what is due, and deliver again what lacks it.

        Returns how many files came. Raises StoreError.
        """
        if isinstance(mailbox, OpensStored):
            for opening, message in self.store.openings.due(mailbox.name, self.clock(), _AT_ONCE):
                if not stopping.is_set():
                    self._open(mailbox, opening, message)
        came = 0
        for found in self.store.missing_files.due(mailbox.name, self.clock(), _AT_ONCE):
            if stopping.is_set():
                break
            self.beat()
            came += self._ask(mailbox, *found)
        destinations = self.fetcher.table().destinations
        if new := self.store.missing_files.settle(self.clock(), destinations):
            _log.info("delivered again with files that came later", deliveries=len(new))
        return came

    def _open(self, mailbox: OpensStored, opening: OpeningRow, message: Message) -> None:
        self.beat()
        found = call_connector(partial(mailbox.open_stored, message.ref), message=str(message.id))
        now = self.clock()
        if isinstance(found, PostmottakError):
            lack = _lack_of(found)
            due_at = next_try(since=opening.since, now=now, lack=lack)
            self.store.openings.failed(message.id, lack.reason, due_at)
            _log.warning("letter could not be opened", message=str(message.id), why=lack.reason)
            return
        attachments = [_values(message.id, place, part) for place, part in _numbered(found)]
        missing = [
            _missing(message.id, place, part, found, now) for place, part in _numbered(found)
        ]
        self.store.openings.opened(message.id, attachments, missing, now)
        about = {"message": str(message.id), "by": opening.by, "why": opening.why}
        _log.warning("a stored letter was opened, which its sender and colleagues see", **about)

    def _ask(self, mailbox: Mailbox, file: MissingFile, old: Attachment, message: Message) -> bool:
        part = Part(**{name: getattr(old, name) for name in Part.model_fields})
        part.state = PartState.PRESENT  # so that it is asked for
        call = partial(self.fetcher.ask_part, mailbox, message.ref, part, old.position)
        with self.fetcher.content.guarded(alone=False):
            found = call_connector(call, message=str(message.id))
            if isinstance(found, PostmottakError):
                self._missed(file, _state(found), _lack_of(found))
                return False
            values, lack = found
            if lack is not None:
                self._missed(file, values.state, lack)
                return False
            try:
                self.store.missing_files.came(values, self.clock(), self.fetcher.content.has)
            except ContentMissing as error:
                self._missed(file, PartState(old.state), Lack(reason=str(error), retry=True))
                return False
        self.store.marks.due_now(message.id, self.clock())
        _log.info("a file came later", message=str(message.id), position=old.position)
        return True

    def _missed(self, file: MissingFile, state: PartState, lack: Lack) -> None:
        now = self.clock()
        due_at = next_try(since=file.since, now=now, lack=lack)
        self.store.missing_files.missed(file, state, lack.reason, now, due_at)


def ask_again(
    intake: Intake,
    mailbox: Mailbox,
    stopping: threading.Event,
    beat: Callable[[], None] = do_nothing,
) -> None:
    """Ask for what is due of a mailbox's missing files. Raises StoreError."""
    fetcher = intake.fetcher
    work = LateFiles(store=intake.store, fetcher=fetcher, clock=fetcher.clock, beat=beat)
    work.run(mailbox, stopping)


def _lack_of(error: PostmottakError) -> Lack:
    """Return why a call failed; all but the end of the letter may pass."""
    wait = error.retry_after if isinstance(error, MailboxUnavailable) else None
    retry = not isinstance(error, LetterGone)
    return Lack(reason=text_from(str(error)), retry=retry, wait=wait)


def _state(error: PostmottakError) -> PartState:
    return PartState.PURGED if isinstance(error, LetterGone) else PartState.UNAVAILABLE


def _numbered(letter: Letter) -> Iterator[tuple[int, Part]]:
    return enumerate(letter.parts, start=1)


def _missing(
    message: UUID, place: int, part: Part, letter: Letter, now: datetime
) -> MissingFileValues:
    if lack := letter.lacks.get(part.external_id):
        return missing_values(message, place, lack, now)
    return missing_values(message, place, _FETCHED_NEXT, now, due_at=now)


def _values(message: UUID, place: int, part: Part) -> AttachmentValues:
    """Return an attachment that opening its letter has shown; its bytes are fetched next."""
    state = PartState.UNAVAILABLE if part.state is PartState.PRESENT else part.state
    return AttachmentValues(
        **{**storable(vars(part)), "state": state},
        message_id=message,
        position=place,
        safe_name=safe_name(part.original_name, part.media_type, place, ""),
    )
