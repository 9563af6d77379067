"""What a mailbox offers that makes many calls at once in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from daemon.core.model import Letter, LetterRef, Part

Sink = Callable[[bytes], object]
"""Takes a piece of an attachment."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LetterRequest:
    """One call of a batch: a letter without its attachments' bytes, or one attachment's bytes."""

    ref: LetterRef
    part: Part | None = None
    into: Callable[[], Sink] | None = None
    """Called when the attachment's first byte has come; what it returns takes the bytes."""


class LetterBatch(Protocol):
    """Many calls to a mailbox at once, in one thread."""

    def add(self, request: LetterRequest) -> None:
        """Add a call, also while the results are iterated over. Never raises."""

    def __iter__(self) -> Iterator[tuple[LetterRequest, Letter | Exception | None]]:
        """Make the calls, and yield each with its result when it has ended.

        A result is the letter; None for an attachment whose bytes have all come; or what `fetch` or
        `open_part` would have raised, or what `into` or its sink did.
        """


@runtime_checkable
class FetchesTogether(Protocol):
    """A mailbox that can make many calls at once in one thread, which costs less for each."""

    def batch(self, at_once: int) -> AbstractContextManager[LetterBatch]:
        """Open a batch for this thread, with at most `at_once` calls at a time.

        What has not ended when the block is left is broken off.
        """
