"""What a mailbox offers some of whose letters leave a mark when they are opened."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from daemon.core.model import Letter, LetterRef


@runtime_checkable
class OpensStored(Protocol):
    """A mailbox some of whose letters have attachments that only opening them shows."""

    name: str

    def open_stored(self, ref: LetterRef) -> Letter:
        """Open a letter that is stored, which leaves a mark, and return it with its attachments.

        Raises LetterGone, MailboxUnavailable, or AccessRefused where the configuration forbids it.
        """
