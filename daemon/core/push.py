"""What a mailbox offers whose source can send events of what is new: push.

An event is never believed: it only lets the bell be asked at once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True)
class Door:
    """Where events are to be sent. Its secret is in no text."""

    address: str
    """Without the secret; what begins with it is ours."""
    endpoint: str = field(repr=False)
    """With the secret at its end."""


@dataclass(frozen=True, kw_only=True)
class Subscribed:
    """How the subscriptions of a mailbox stand."""

    wanted: int
    """How many there should be: one for each organisation and resource."""
    validated: int
    """How many events come from."""
    waiting: int = 0
    """How many are made and not validated yet."""
    missing: int = 0
    """How many are still to be made: a call makes only some."""
    left_out: int = 0
    """Channels for which none is made, because there are too many."""
    problem: str = ""
    """Why some could not be made; empty if all could."""


@runtime_checkable
class Subscribes(Protocol):
    """A mailbox that can order events. For one thread."""

    def subscribe(self, door: Door, again: Collection[int] = ()) -> Subscribed:
        """Make some of the subscriptions that are missing, and remove ours that are not wanted.

        Those in `again`, by their id, are made again if they are still not validated. Raises
        MailboxUnavailable or AccessRefused.
        """

    def subscribed(self, door: Door) -> Subscribed:
        """Return how the subscriptions stand; changes nothing. Raises as `subscribe` does."""

    def unvalidated(self) -> Collection[int]:
        """Return those that were not validated when `subscribe` was last called, by their id."""
