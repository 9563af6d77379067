"""What intake has done since the start, by mailbox, for monitors."""

from __future__ import annotations

from dataclasses import dataclass, field

from daemon.runtime.metrics import LabelledCounter


@dataclass(frozen=True, kw_only=True)
class IntakeCounters:
    """Counts since the start, by mailbox. May be used from any thread."""

    letters_stored: LabelledCounter = field(default_factory=LabelledCounter)
    listing_failures: LabelledCounter = field(default_factory=LabelledCounter)
    """Channels that a poll could not list completely, though a listing was expected."""
