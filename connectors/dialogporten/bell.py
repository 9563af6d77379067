"""The bell: one search for up to a hundred parties says who has something new.

It is asked with an overlap (the caller's), because what is dated back comes up behind any cursor;
see docs/dialogporten.md for what it cannot show at all.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from connectors.dialogporten.batch_size import BatchSize
from connectors.dialogporten.client import USUAL_LIMIT, DialogClient, DialogsFound, SearchTooWide
from connectors.dialogporten.wire import Dialog
from daemon.core.bell import BellAnswer, Ring
from daemon.core.errors import AccessRefused, MailboxError, MailboxUnavailable

_LIMITS_LAST = 86_400.0  # seconds


class _Question(NamedTuple):
    as_: str
    parties: tuple[str, ...]
    since: datetime


class DialogBell:
    """Asks for what is new, several questions at a time. For one thread at a time.

    `holder_of` names the organisation whose system user acts for a party; `wanted` says which
    dialogs ring.
    """

    def __init__(
        self,
        client: DialogClient,
        holder_of: Callable[[str], str],
        wanted: Callable[[Dialog], bool],
        clock: Callable[[], datetime],
        at_once: int = 8,
    ) -> None:
        self._client, self._holder_of, self._wanted = client, holder_of, wanted
        self._clock, self._at_once = clock, at_once
        self.size = BatchSize(USUAL_LIMIT)
        self._limits_read: float | None = None

    def ring(self, since: Mapping[str, datetime]) -> Iterator[BellAnswer]:
        """Ask, and yield each answer when it has come; a failure is an answer."""
        if not since:
            return
        left = self._questions(since)
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="bell") as pool:
            flying: dict[Future[DialogsFound], _Question] = {}
            try:
                while left or flying:
                    while left and len(flying) < self._at_once:
                        question = left.pop()
                        flying[pool.submit(self._ask, question)] = question
                    done, _ = wait(flying, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield from self._judge(flying.pop(future), future, left)
            finally:
                pool.shutdown(cancel_futures=True)

    def _questions(self, since: Mapping[str, datetime]) -> list[_Question]:
        """Return the searches, the last of which is made first."""
        by_holder: defaultdict[str, list[str]] = defaultdict(list)
        for party in since:
            by_holder[self._holder_of(party)].append(party)
        if any(len(parties) > 1 for parties in by_holder.values()):
            self._read_limits()
        size = self.size.now
        questions: list[_Question] = []
        for as_, parties in by_holder.items():
            ordered = sorted(parties, key=since.__getitem__)
            for begin in range(0, len(ordered), size):
                some = tuple(ordered[begin : begin + size])
                questions.append(_Question(as_, some, since[some[0]]))
        return questions[::-1]

    def _read_limits(self) -> None:
        now = time.monotonic()
        if self._limits_read is None or now - self._limits_read > _LIMITS_LAST:
            with suppress(MailboxError):  # the usual ones are used
                self.size.limit(self._client.most_parties())
            self._limits_read = now

    def _ask(self, question: _Question) -> DialogsFound:
        begun = time.monotonic()
        found = self._client.changed(*question)
        if len(question.parties) > 1:
            self.size.answered(time.monotonic() - begun, len(question.parties))
        return found

    def _judge(
        self, question: _Question, future: Future[DialogsFound], left: list[_Question]
    ) -> Iterator[BellAnswer]:
        """Yield the answer; where it was too much at once, put halves of the question back."""
        try:
            found = future.result()
        except AccessRefused as error:
            yield self._failed(question, error, refused=True)
        except MailboxUnavailable as error:
            if len(question.parties) > 1:
                self.size.refused(len(question.parties))
                self._limits_read = None if isinstance(error, SearchTooWide) else self._limits_read
            if isinstance(error, SearchTooWide) and len(question.parties) > 1:
                left.extend(_halves(question))
            else:
                yield self._failed(question, error)
        else:
            yield BellAnswer(
                parties=question.parties,
                asked_at=found.asked_at,
                rings=tuple(_ring(each) for each in found.dialogs if self._wanted(each)),
                problem=found.shortfall,
            )

    def _failed(
        self, question: _Question, error: MailboxError, *, refused: bool = False
    ) -> BellAnswer:
        return BellAnswer(
            parties=question.parties, asked_at=self._clock(), problem=str(error), refused=refused
        )


def _halves(question: _Question) -> Sequence[_Question]:
    middle = len(question.parties) // 2
    return [
        question._replace(parties=question.parties[middle:]),
        question._replace(parties=question.parties[:middle]),
    ]


def _ring(dialog: Dialog) -> Ring:
    return Ring(
        key=f"{dialog.id} {dialog.content_updated_at.isoformat()}",
        source_id=dialog.id,
        party=dialog.party,
        resource=dialog.resource,
        changed_at=dialog.content_updated_at,
    )
