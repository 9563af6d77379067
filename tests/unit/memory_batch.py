"""A mailbox in memory that makes many calls at once, in one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from daemon.core.letter_batch import LetterRequest
from daemon.core.model import Letter
from tests.unit.memory import MemoryMailbox


class BatchMailbox(MemoryMailbox):
    """The same as the mailbox in memory, by batches. The newest call of some ends first."""

    most = 0
    """The most calls that were under way at a time."""

    @contextmanager
    def batch(self, at_once: int) -> Iterator[MemoryBatch]:
        """Open a batch."""
        yield MemoryBatch(self, at_once)


class MemoryBatch:
    """The calls of a batch."""

    def __init__(self, mailbox: BatchMailbox, at_once: int) -> None:
        self._mailbox, self._at_once = mailbox, at_once
        self._waiting: deque[LetterRequest] = deque()
        self._under_way = 0

    def add(self, request: LetterRequest) -> None:
        """Add a call."""
        self._waiting.append(request)
        self._under_way += 1
        self._mailbox.most = max(self._mailbox.most, self._under_way)

    def __iter__(self) -> Iterator[tuple[LetterRequest, Letter | Exception | None]]:
        """Answer the calls."""
        while self._waiting:
            flying = [self._waiting.popleft() for _ in range(self._at_once) if self._waiting]
            for request in reversed(flying):
                answer = self._answer(request)
                self._under_way -= 1
                yield request, answer

    def _answer(self, request: LetterRequest) -> Letter | Exception | None:
        try:
            return self._answered(request)
        except Exception as error:  # noqa: BLE001  # the result of this call
            return error

    def _answered(self, request: LetterRequest) -> Letter | None:
        if request.part is None:
            return self._mailbox.fetch(request.ref)
        assert request.into
        with self._mailbox.open_part(request.ref, request.part) as chunks:
            take = request.into()
            for chunk in chunks:
                take(chunk)
        return None
