"""Many calls to Altinn's platform at once in one thread, each as its party's system user."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from connectors.altinn3.maskinporten import Tokens
from connectors.altinn3.token_life import READ, is_dead_token, never_accepted
from connectors.net.http_batch import Call, HttpBatch, Outcome, Sink
from connectors.net.http_response import Parser
from daemon.core.errors import MailboxError

_TRIES = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class PlatformCall:
    """A GET of `path`, which begins with a slash; `into` as in `Call`."""

    party: str
    path: str
    parse: Parser | None = None
    into: Callable[[Mapping[str, str]], Sink] | None = None


class _Sent(NamedTuple):
    wanted: PlatformCall
    token: str
    tries: int


class PlatformBatch:
    """Calls that are added and whose results are iterated over; for one thread.

    A token that is refused is renewed once for each call.
    """

    def __init__(
        self, batch: HttpBatch, tokens: Tokens, url: str, headers: Mapping[str, str]
    ) -> None:
        self._batch = batch
        self._tokens = tokens
        self._url = url
        self._headers = headers
        self._sent: dict[Call, _Sent] = {}
        self._refused: deque[tuple[PlatformCall, Outcome]] = deque()

    def add(self, call: PlatformCall) -> None:
        """Add a call; also while the results are iterated over.

        Fetches the party's token if there is none, which takes a moment.
        """
        self._send(call, tries=1)

    def __iter__(self) -> Iterator[tuple[PlatformCall, Outcome]]:
        """Make the calls, and yield each with its result when it has ended.

        A result is an answer, whatever its status; or what HttpBatch has; or AccessRefused, if the
        party's token was.
        """
        yield from self._take_refused()
        for call, outcome in self._batch:
            sent = self._sent.pop(call)
            if is_dead_token(outcome):
                self._renew(sent)
            else:
                yield sent.wanted, outcome
            yield from self._take_refused()

    def _take_refused(self) -> Iterator[tuple[PlatformCall, Outcome]]:
        while self._refused:
            yield self._refused.popleft()

    def _send(self, wanted: PlatformCall, tries: int) -> None:
        try:
            token = self._tokens.token(wanted.party, READ)
        except MailboxError as error:
            self._refused.append((wanted, error))
            return
        accept = "*/*" if wanted.into else "application/json"
        call = Call(
            url=self._url + wanted.path,
            headers={**self._headers, "Authorization": f"Bearer {token}", "Accept": accept},
            parse=wanted.parse,
            into=wanted.into,
        )
        self._sent[call] = _Sent(wanted, token, tries)
        self._batch.add(call)

    def _renew(self, sent: _Sent) -> None:
        self._tokens.drop(sent.wanted.party, READ, sent.token)
        if sent.tries < _TRIES:
            self._send(sent.wanted, sent.tries + 1)
        else:
            self._refused.append((sent.wanted, never_accepted(sent.wanted.party)))
