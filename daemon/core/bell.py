"""What a mailbox offers that can be asked cheaply who has something new: a bell.

A bell only says where to look. What it misses, and what it says wrongly, is found by the lists,
which go on once a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from daemon.core.model import LetterRef


@dataclass(frozen=True, kw_only=True)
class Ring:
    """Something new for a party, under a resource."""

    key: str
    """The same as long as nothing changes; another one when something does."""
    source_id: str
    """What the bell calls it."""
    party: str
    resource: str
    changed_at: datetime
    alone: bool = True
    """Whether `letter_of` can say which letter it is; otherwise its channel is listed."""


@dataclass(frozen=True, kw_only=True)
class BellAnswer:
    """The answer to one call, about some parties."""

    parties: tuple[str, ...]
    asked_at: datetime
    """When the question was put, by the source's clock as far as it is known."""
    rings: tuple[Ring, ...] = ()
    problem: str = ""
    """Why there may be more; empty if the answer is complete."""
    refused: bool = False
    """A right or a scope is missing, so that asking again soon would not help."""


@runtime_checkable
class RingsBell(Protocol):
    """A mailbox with a bell."""

    @property
    def rings_every(self) -> timedelta | None:
        """How often it is asked; None if it is switched off, or would save nothing."""

    @property
    def needs_bell(self) -> bool:
        """Whether it is configured by name, so that it is a problem if it cannot be used."""

    def ring(self, since: Mapping[str, datetime]) -> Iterator[BellAnswer]:
        """Ask what has changed since then, for each party, and yield each answer when it has come.

        Leaves no trace at the source. A failure is an answer, with its `problem`.
        """

    def letter_of(self, ring: Ring) -> LetterRef | None:
        """Return the letter that a ring is about; None if it is not one of this mailbox's.

        Leaves no trace at the source. Raises MailboxUnavailable or AccessRefused.
        """
