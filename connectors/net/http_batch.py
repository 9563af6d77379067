"""Many calls at once in one thread, each with its own limits, retries and result.

```python
with client.batch(at_once=8) as batch:
    for letter in letters:
        batch.add(Call(url=letter.overview, headers=headers, parse=json_object))
    for call, outcome in batch:          # in the order in which they end
        if isinstance(outcome, HttpResponse) and outcome.status == 200:
            batch.add(Call(url=..., headers=headers, into=file_for))   # more, while it goes on
```
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.net.circuit_breaker import HostGuard, HostUnavailable
from connectors.net.http_response import (
    LARGEST_ANSWER,
    OK,
    HttpResponse,
    Parser,
    TransportProblem,
    refuse_encodings,
    validate,
    whole,
)
from connectors.net.limits import Deadline
from connectors.net.pacer import Pacer
from connectors.net.timeouts import Timeouts
from connectors.net.transfer import HttpRequest, Transfer
from connectors.net.transport_problems import (
    host_unavailable,
    mapping_transport_problems,
    too_far_off,
)

if TYPE_CHECKING:
    from connectors.net.transfers import Transfers

_NOTICE = 0.05  # seconds until a call looks again whether another thread's probe is over

Sink = Callable[[bytes], object]
"""Takes a piece of a body. What it raises ends its own call only."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """A GET in a batch. With `into`, the body of a 200 is never in memory as a whole."""

    url: str
    headers: Mapping[str, str]
    parse: Parser | None = None
    into: Callable[[Mapping[str, str]], Sink] | None = None
    """Given the headers of a 200, returns what takes the pieces of its body. May refuse them by
    raising. It is called once: after that, the call is not repeated.
    """


Outcome = HttpResponse | Exception
"""What became of a call: a 200, or any 4xx but 429; HostUnavailable; or what `into`, or the sink
that it returned, raised.
"""


class _Job:
    """A call that is waiting, or in flight."""

    def __init__(self, call: Call, retry_delays: tuple[float, ...]) -> None:
        self.call = call
        self.request = HttpRequest(method="GET", url=call.url, headers=call.headers)
        self.retry_delays = list(retry_delays)
        self.not_before = 0.0
        self.deadline: Deadline | None = None
        self.probe: bool | None = None
        """Whether it is the probe of its host's circuit; None when the circuit knows its result."""
        self.sink: Sink | None = None
        self.has_turn = False
        """Whether it may be begun when its time has come, where calls are paced."""


class HttpBatch:
    """Calls that are added and whose results are iterated over; for one thread."""

    def __init__(
        self,
        transfers: Transfers,
        timeouts: Timeouts,
        *,
        guard_of: Callable[[str], HostGuard],
        hear: Callable[[HttpResponse], None],
        at_once: int,
        pacer: Pacer | None = None,
    ) -> None:
        self._pacer = pacer
        self._transfers = transfers
        self._timeouts = timeouts
        self._guard_of = guard_of
        self._hear = hear
        self._at_once = at_once
        self._waiting: deque[_Job] = deque()
        self._flying: dict[Transfer, _Job] = {}

    def add(self, call: Call) -> None:
        """Add a call; also while the results are iterated over."""
        self._waiting.append(_Job(call, self._timeouts.retry_delays))

    def __iter__(self) -> Iterator[tuple[Call, Outcome]]:
        """Make the calls, and yield each with its result when it has ended.

        Ends when there is none left. Calls go on only while the next result is waited for; the time
        in between does not count against the servers, except for a call's deadline.
        """
        while self._waiting or self._flying:
            yield from self._start()
            if self._flying:
                yield from self._go_on()
            elif self._waiting:
                time.sleep(self._pause())

    def _pause(self) -> float:
        """Return how long it is until a waiting call may begin."""
        if len(self._flying) >= self._at_once or not self._waiting:
            return self._timeouts.step
        now = time.monotonic()
        return max(0.0, min(each.not_before for each in self._waiting) - now)

    def _start(self) -> Iterator[tuple[Call, Outcome]]:
        """Begin what may begin now."""
        for _ in range(len(self._waiting)):
            if len(self._flying) >= self._at_once:
                return
            job = self._waiting.popleft()
            if job.not_before > time.monotonic():
                self._waiting.append(job)
                continue
            try:
                self._begin(job)
            except HostUnavailable as error:
                yield job.call, error
            except TransportProblem as trouble:
                yield from self._fail(job, trouble)

    def _begin(self, job: _Job) -> None:
        if self._has_to_wait(job):
            return
        job.probe = self._guard_of(job.request.host).try_enter()
        now = time.monotonic()
        if job.probe is None:
            job.not_before = now + _NOTICE
            self._waiting.append(job)
            return
        job.deadline = job.deadline or Deadline(self._timeouts.whole, now)
        with mapping_transport_problems():
            transfer = self._transfers.start(job.request, job.deadline)
        transfer.largest = LARGEST_ANSWER
        self._flying[transfer] = job

    def _has_to_wait(self, job: _Job) -> bool:
        """Take a turn for the call; return whether it comes later. Raises HostUnavailable."""
        wait = 0.0 if job.has_turn or not self._pacer else self._pacer.reserve(job.call.url)
        job.has_turn = True
        if self._pacer and wait > self._timeouts.longest_turn:
            self._pacer.give_back(wait)
            raise too_far_off(job.request.host, wait)
        if wait:
            job.not_before = time.monotonic() + wait
            self._waiting.append(job)
        return bool(wait)

    def _go_on(self) -> Iterator[tuple[Call, Outcome]]:
        self._transfers.turn(self._pause())
        for transfer, job in list(self._flying.items()):
            if not (transfer.ended or job.call.into):
                continue
            try:
                outcome = self._advance(transfer, job)
            except TransportProblem as trouble:
                self._drop(transfer)
                yield from self._fail(job, trouble)
            except Exception as error:  # noqa: BLE001  # the sink's, whatever it is
                self._drop(transfer)
                self._settle(job)
                yield job.call, error
            else:
                if outcome is not None:
                    self._drop(transfer)
                    yield job.call, outcome

    def _advance(self, transfer: Transfer, job: _Job) -> HttpResponse | None:
        """Hand on what has come; return the response if that was all of it."""
        with mapping_transport_problems():
            head = transfer.require_head() if transfer.ended else transfer.head
        if head is None:
            return None
        if job.call.into and head.status == OK:
            return self._pour(transfer, job, job.call.into, head.headers)
        if not transfer.ended:
            return None
        with mapping_transport_problems():
            body = b"".join(transfer.take())
        answer = validate(whole(head, body), job.call.parse)
        self._settle(job)
        self._hear(answer)
        return answer

    def _pour(
        self,
        transfer: Transfer,
        job: _Job,
        into: Callable[[Mapping[str, str]], Sink],
        headers: Mapping[str, str],
    ) -> HttpResponse | None:
        if job.sink is None:
            refuse_encodings(headers)
            self._settle(job)
            transfer.largest = None
            self._transfers.require_rate(transfer, self._timeouts.min_rate, self._timeouts.window)
            job.sink = into(headers)
        with mapping_transport_problems():
            pieces = transfer.take()
        for piece in pieces:
            job.sink(piece)
        return HttpResponse(status=OK, headers=headers) if transfer.ended else None

    def _settle(self, job: _Job) -> None:
        """Tell the circuit that the host has answered."""
        if job.probe is not None:
            self._guard_of(job.request.host).succeeded(probe=job.probe)
            job.probe = None

    def _fail(self, job: _Job, trouble: TransportProblem) -> Iterator[tuple[Call, Outcome]]:
        """Have the call repeated if that may help, and else yield its failure."""
        host = job.request.host
        job.has_turn = False
        if trouble.too_many and self._pacer:
            self._pacer.refused(job.call.url, trouble.retry_after)
        self._guard_of(host).failed(probe=bool(job.probe), reason=str(trouble))
        job.probe = None
        pause = None
        if job.sink is None:
            pause = self._timeouts.pause_before_retry(
                job.retry_delays.pop(0) if job.retry_delays else None,
                again=trouble.again,
                retry_after=trouble.retry_after,
            )
        if pause is None:
            error = host_unavailable(host, trouble)
            error.__cause__ = trouble
            yield job.call, error
            return
        job.not_before = time.monotonic() + pause
        self._waiting.append(job)

    def _drop(self, transfer: Transfer) -> None:
        del self._flying[transfer]
        self._transfers.abandon(transfer)
