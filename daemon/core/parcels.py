"""What a destination gets of a letter, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO


@dataclass(frozen=True, kw_only=True)
class ParcelPart:
    """An attachment as a destination gets it."""

    name: str
    """Safe on any file system and unique in the letter."""
    media_type: str
    size: int
    """In bytes."""
    sha256: str
    open: Callable[[], BinaryIO]
    """Opens the bytes for reading, for the caller to close. May be called several times, from any
    thread.
    """


@dataclass(frozen=True, kw_only=True)
class Addressee:
    """A recipient as a destination gets it."""

    name: str
    title: str = ""
    email: str = ""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Evidence that a destination has a parcel."""

    reference: str
    """What the receiver would search for: a path, a Message-ID, a response status."""
    details: dict[str, Any]
    """More of the same, as JSON values. No secrets, no titles and no content."""
    collided: bool = False
    """Something else had the parcel's name there and was left alone, so the parcel has another
    name: someone must be notified.
    """
