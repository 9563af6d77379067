"""Many letters at once from a mailbox that can do so in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from daemon.core.connector_calls import call_connector
from daemon.core.errors import PostmottakError, StoreError
from daemon.core.letter_batch import LetterBatch, LetterRequest, Sink
from daemon.core.model import Letter, LetterRef
from daemon.core.ports import Channel
from daemon.intake.fetch import Done, Fetched, Fetcher, Steps, advance, as_fetched
from daemon.intake.new_letter import MarkPolicies
from daemon.store.content import ContentStore
from daemon.store.staging import ContentFile, Staged


class _UnderWay(NamedTuple):
    ref: LetterRef
    steps: Steps[Fetched]
    file: _File | None = None


class FetchTogether:
    """Fetches letters by a batch of calls. For one thread."""

    def __init__(
        self,
        fetcher: Fetcher,
        batch: LetterBatch,
        policies: MarkPolicies,
        at_once: Callable[[], int],
    ) -> None:
        """Keep the parts; `at_once` says how many letters may be under way, with a call each."""
        self._fetcher, self._batch, self._policies = fetcher, batch, policies
        self._at_once = at_once
        self._under_way: dict[LetterRequest, _UnderWay] = {}

    def fetch(
        self, work: Sequence[tuple[Channel, LetterRef]], stops: Callable[[], bool]
    ) -> Iterator[Fetched]:
        """Yield each letter when it has come, with the bytes of its attachments staged.

        When it `stops`, no more are begun: those come without a letter and without a state, as does
        one that the batch gave no answer to. Close it to break off what is under way. Raises
        StoreError.
        """
        left = iter(work)
        try:
            yield from self._begin(left)
            for request, outcome in self._batch:
                fetched = self._go_on(self._under_way.pop(request), outcome)
                if fetched:
                    yield fetched
                    if not stops():
                        yield from self._begin(left)
            unanswered = [each.ref for each in self._under_way.values()]
            yield from (Fetched(ref=ref) for ref in (*unanswered, *(ref for _, ref in left)))
        finally:
            for each in self._under_way.values():
                if each.file:
                    each.file.discard()
                each.steps.close()

    def _begin(self, left: Iterator[tuple[Channel, LetterRef]]) -> Iterator[Fetched]:
        free = max(1, self._at_once()) - len(self._under_way)
        for channel, ref in islice(left, max(0, free)):
            steps = self._fetcher.steps(channel, self._policies, ref)
            fetched = self._advance(_UnderWay(ref, steps), None)
            if fetched:
                yield fetched

    def _go_on(self, letter: _UnderWay, outcome: Letter | Exception | None) -> Fetched | None:
        """Hand the outcome of a call to the letter; return it if that was the last one."""
        if letter.file and isinstance(outcome, Exception):
            letter.file.discard()
        if isinstance(outcome, StoreError):
            letter.steps.close()
            raise outcome
        if letter.file and outcome is None:
            return self._advance(letter, letter.file.end())
        return self._advance(letter, outcome)

    def _advance(
        self, letter: _UnderWay, answer: Letter | Staged | Exception | None
    ) -> Fetched | None:
        call = partial(advance, letter.steps, answer)
        step = call_connector(call, external_id=letter.ref.external_id)
        if isinstance(step, PostmottakError):
            return as_fetched(letter.ref, step)
        if isinstance(step, Done):
            return step.value
        file = _File(self._fetcher.content) if step.part else None
        request = LetterRequest(ref=step.ref, part=step.part, into=file.begin if file else None)
        self._under_way[request] = letter._replace(file=file)
        self._batch.add(request)
        return None


class _File:
    """The file for an attachment, from its first byte on."""

    def __init__(self, content: ContentStore) -> None:
        self._content = content
        self._file: ContentFile | None = None

    def begin(self) -> Sink:
        self._file = self._content.begin()
        return self._file.write

    def end(self) -> Staged:
        assert self._file
        return self._file.end()

    def discard(self) -> None:
        if self._file:
            self._file.discard()
