"""Many letters at once: each overview leads to downloads, in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from connectors.altinn3.correspondence import (
    Correspondence,
    letter_path,
    overview_in,
    part_path,
    require_a_file,
)
from connectors.altinn3.platform_batch import PlatformBatch, PlatformCall
from connectors.net.http_batch import Outcome
from connectors.net.http_response import HttpResponse, json_object
from daemon.core.letter_batch import LetterRequest, Sink
from daemon.core.model import Letter, LetterRef, Part

_OK = 200
LetterOf = Callable[[LetterRef, dict[str, Any]], Letter]
"""Reads an overview. Raises MailboxUnavailable."""


class AltinnBatch:
    """A LetterBatch of calls to Altinn."""

    def __init__(
        self, calls: PlatformBatch, correspondence: Correspondence, letter_of: LetterOf
    ) -> None:
        self._calls, self._correspondence, self._letter_of = calls, correspondence, letter_of
        self._requests: dict[PlatformCall, LetterRequest] = {}

    def add(self, request: LetterRequest) -> None:
        """Add a call."""
        ref, part, into = request.ref, request.part, request.into
        if part is None or into is None:
            call = PlatformCall(party=ref.party, path=letter_path(ref), parse=json_object)
        else:
            call = PlatformCall(
                party=ref.party, path=part_path(ref, part), into=partial(_begin, part, into)
            )
        self._requests[call] = request
        self._calls.add(call)

    def __iter__(self) -> Iterator[tuple[LetterRequest, Letter | Exception | None]]:
        """Make the calls, and yield each with its result."""
        for call, outcome in self._calls:
            request = self._requests.pop(call)
            yield request, self._result(request, outcome)

    def _result(self, request: LetterRequest, outcome: Outcome) -> Letter | Exception | None:
        if isinstance(outcome, Exception):
            return outcome
        try:
            if request.part is None:
                return self._letter_of(request.ref, overview_in(outcome, request.ref))
            self._require_ok(outcome, request.ref, request.part)
        except Exception as error:  # noqa: BLE001  # the result of this call only
            return error
        return None

    def _require_ok(self, answer: HttpResponse, ref: LetterRef, part: Part) -> None:
        if answer.status != _OK:
            raise self._correspondence.part_error(answer, ref, part)


def _begin(part: Part, into: Callable[[], Sink], headers: Mapping[str, str]) -> Sink:
    require_a_file(headers, part)
    return into()
