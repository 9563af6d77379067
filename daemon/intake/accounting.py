"""Where every letter of a source's channel is, counted after what was missing has been fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from daemon.core.completeness import Account
from daemon.core.model import LetterRef, SightingState
from daemon.store import Store

_PLACES: Mapping[SightingState, str] = {
    SightingState.WAITING: "waiting",
    SightingState.GONE: "gone",
    SightingState.FAILING: "failing",
    SightingState.DUPLICATE: "duplicate",
    SightingState.OLDER: "older",
}


@dataclass(frozen=True, kw_only=True)
class SourceLetters:
    """The letters of a channel, as they were before what is missing was fetched."""

    remote: Mapping[str, LetterRef]
    """The letters of the source, by their ids there."""
    unusable: int
    """How many more letters it has whose ids are no text, so they cannot be asked for."""
    here: Collection[str]
    deleted: Collection[str]
    older: Collection[str] = field(default_factory=frozenset)
    """Letters that are dated before the channel's first listing, and have not arrived since."""
    tried: Collection[str] = field(default_factory=frozenset)
    """Letters whose fetching was tried, where something failed."""
    unexamined: int = 0


def account_of(store: Store, listed: SourceLetters) -> Account:
    """Count the letters by where they are now. Raises StoreError."""
    rest = [
        each
        for key, each in listed.remote.items()
        if key not in listed.here and key not in listed.deleted
    ]
    ids = {each.message_id for each in rest}
    stored, states = store.letters.stored_of(ids), store.letters.states_of(ids)
    places = Counter(_place(each, listed, stored, states) for each in rest)
    here = sum(key in listed.here for key in listed.remote)
    deleted = len(listed.remote) - len(rest) - here
    places.update({"here": here, "deleted": deleted, "unexplained": listed.unusable})
    return Account(
        source=len(listed.remote) + listed.unusable,
        unexamined=listed.unexamined,
        unlisted=sum(key not in listed.remote for key in listed.here),
        **places,
    )


def _place(
    ref: LetterRef,
    listed: SourceLetters,
    stored: Collection[UUID],
    states: Mapping[UUID, SightingState],
) -> str:
    if ref.message_id in stored:
        return "here"
    if state := states.get(ref.message_id):
        return _PLACES[state]
    if ref.external_id in listed.older:
        return "older"
    return "failing" if ref.external_id in listed.tried else "unexplained"
