"""A program says which person has a letter: an ERP where somebody has opened it, for example."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.store import Store
from daemon.store.answers import LONGEST_NAME, LONGEST_NOTE
from daemon.store.users import Actor

_CALLER = "api"
"""The user in the log of events; the person is what the event is about."""


@dataclass(frozen=True, kw_only=True)
class PersonAnswer:
    """What the program says."""

    by: str
    note: str


def person_of(body: bytes) -> PersonAnswer:
    """Return who has the letter, by the body of a call. Raises ValueError."""
    match json.loads(body):
        case {"by": str(by), **others} if _storable(by):
            note = others.get("note") or ""
        case _:
            raise ValueError("nobody is named")
    if not isinstance(note, str):
        raise ValueError("the note is not a text")  # noqa: TRY004  # as all else that is not valid
    return PersonAnswer(by=_storable(by)[:LONGEST_NAME], note=_storable(note)[:LONGEST_NOTE])


def _storable(text: str) -> str:
    """Return a text that a database can hold: JSON can hold half of a surrogate pair, and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd").strip()


def acknowledge_for(
    store: Store, message_id: UUID, person: PersonAnswer, now: datetime
) -> Mapping[str, str]:
    """Record that a person has the letter; return the answer that holds, which may be earlier.

    Raises NotFound.
    """
    found = store.acknowledgements.acknowledge(
        message_id, person.by, now, Actor(name=_CALLER), person.note
    )
    return {
        "state": found.state.value,
        "by": found.by,
        "at": found.at.isoformat(timespec="seconds"),
        "note": found.note,
    }
