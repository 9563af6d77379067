"""What persons answer for letters and deadlines: what it may say, and its event."""

from __future__ import annotations

from daemon.core.accounts import Event
from daemon.core.bookkeeping import Acknowledgement, DeadlineAnswer
from daemon.core.errors import OperatorError
from daemon.store.users import Actor

LONGEST_NAME, LONGEST_NOTE = 100, 500
"""Of who answers, and of a note or reason, in characters."""


def in_words(by: str, note: str) -> tuple[str, str]:
    """Return who answers, and the note, as they are stored. Raises OperatorError."""
    by, note = by.strip(), note.strip()
    if not by:
        raise OperatorError("The name of the person is empty; give a name")
    for what, text, longest in (("name", by, LONGEST_NAME), ("note", note, LONGEST_NOTE)):
        if len(text) > longest:
            raise OperatorError(
                f"The {what} has {len(text)} characters, and may have {longest}; shorten it"
            )
    return by, note


def event_of(answer: Acknowledgement | DeadlineAnswer, kind: str, actor: Actor) -> Event:
    """Return the event of an answer, which does not have the note."""
    return Event(
        at=answer.at,
        kind=kind,
        user=actor.name,
        address=actor.address,
        message_id=answer.message_id,
        about="" if answer.by == actor.name else answer.by,
        done=True,
        details={},
        previous="",
        hash="",
    )
