"""HTTP for the mailboxes of Altinn, and the one place that knows how a call can go wrong on its way.

Every call has a timeout for each step and a limit on the whole; answers are bounded, never decompressed and never followed elsewhere.
Whatever is no answer of the application itself becomes HostAway, and counts against the host (see circuit.py).
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from connectors.net.circuit_breaker import Circuit, HostAway
from connectors.net.connection import Head, Line, NotHttp
from connectors.net.diagnostics import plain_reason, what_to_do
from connectors.net.limits import Deadline, Limit, Pace, TooSlow, Unreachable
from connectors.net.pool import Lines, Origin
from connectors.net.response import (
    OK,
    Answer,
    Trouble,
    Understand,
    judged,
    refuse_encodings,
    whole,
)
from daemon.core.elapsed import SourceTime, elapsed

_CHUNK = 64 * 1024

_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long calls may take; in seconds, and bytes a second."""

    connect: float = 10
    step: float = 20
    """For each wait for the other side."""
    whole: float = 30
    """For a call with all that it repeats, and for a download until it begins."""
    slowest: float = 1024
    """A download that brings less is given up."""
    window: float = 60
    """Over which `slowest` is measured."""
    pauses: tuple[float, ...] = (0.3, 1.0)
    """Before each repeat of a call that a blip broke."""
    longest_wait: float = 3
    """The longest Retry-After that is waited for within a call."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """The beginning of a body that is streamed. Whoever has one closes it."""

    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    """Of 64 KiB or more, but for the last. Raises HostAway where the body breaks off or only drips."""
    close: Callable[[], None]

    @property
    def whole(self) -> bool:
        """Whether a body that is cut short would be noticed."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers


@dataclass(frozen=True, kw_only=True)
class _Call:
    method: str
    url: SplitResult
    headers: Mapping[str, str]
    content: bytes = b""
    understand: Understand | None = None

    @property
    def host(self) -> str:
        return self.url.netloc

    @property
    def origin(self) -> Origin:
        encrypted = self.url.scheme == "https"
        return Origin(self.url.hostname or "", self.url.port or (443 if encrypted else 80), encrypted)

    @property
    def target(self) -> str:
        return (self.url.path or "/") + (f"?{self.url.query}" if self.url.query else "")

    def over(self, line: Line) -> Head:
        """Send it over `line`; the head of the answer."""
        own = {"Host": self.host, "User-Agent": "postmottak", "Accept-Encoding": "identity"}
        if self.method != "GET":
            own["Content-Length"] = str(len(self.content))
        return line.ask(self.method, self.target, [*own.items(), *self.headers.items()], self.content)


class Http:
    """Calls over connections that are kept open. All methods may be called from several threads.

    `ca_file` is trusted beside the system's authorities. A host that is down is left alone for `longest_pause` seconds at most, as
    `clock` counts them.
    """

    def __init__(
        self,
        *,
        longest_pause: float,
        ca_file: Path | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience or Patience()
        self._longest_pause = longest_pause
        self._clock = clock
        self._circuits: dict[str, Circuit] = {}
        self.heard: SourceTime | None = None
        """What the clock of the other side said last."""
        self._lines = Lines(_trust(ca_file), connect=self._patience.connect, step=self._patience.step)

    def get(self, url: str, headers: Mapping[str, str], understand: Understand | None = None) -> Answer:
        """The answer: a 200 that `understand` understands, or any 4xx but 429. What a blip breaks is repeated within the call.

        Raises HostAway.
        """
        call = _Call(method="GET", url=urlsplit(url), headers=headers, understand=understand)
        deadline = Deadline(self._patience.whole)
        return self._patiently(call, lambda: self._answer(call, deadline), self._patience.pauses)

    def post(self, url: str, headers: Mapping[str, str], content: bytes = b"", understand: Understand | None = None) -> Answer:
        """As `get`, but tried only once."""
        call = _Call(method="POST", url=urlsplit(url), headers=headers, content=content, understand=understand)
        deadline = Deadline(self._patience.whole)
        return self._patiently(call, lambda: self._answer(call, deadline), ())

    def download(self, url: str, headers: Mapping[str, str]) -> Download | Answer:
        """The stream of a 200, or the answer that came in its stead. A blip before it begins is repeated. Raises HostAway."""
        call = _Call(method="GET", url=urlsplit(url), headers=headers)
        deadline = Deadline(self._patience.whole)
        return self._patiently(call, lambda: self._begin(call, deadline), self._patience.pauses)

    def close(self) -> None:
        """Close the connections; another call opens them again."""
        self._lines.close()

    def _circuit(self, host: str) -> Circuit:
        found = self._circuits.get(host)
        return found or self._circuits.setdefault(host, Circuit(host, longest=self._longest_pause, clock=self._clock))

    def _patiently(self, call: _Call, attempt: Callable[[], _Result], pauses: Sequence[float]) -> _Result:
        left = list(pauses)
        while True:
            try:
                with self._circuit(call.host).call():
                    return attempt()
            except Trouble as trouble:
                if not left or not self._worth_repeating(trouble):
                    raise _unavailable(call.host, trouble) from trouble
                pause = left.pop(0) * random.uniform(0.5, 1.5)  # noqa: S311  # jitter keeps no secret
                wait = max(pause, trouble.retry_after or 0)
            time.sleep(wait)

    def _worth_repeating(self, trouble: Trouble) -> bool:
        if trouble.retry_after is not None:
            return trouble.retry_after <= self._patience.longest_wait
        return trouble.again

    def _answer(self, call: _Call, limit: Limit) -> Answer:
        with _telling_trouble(), self._lines.line(call.origin, limit) as line:
            answer = judged(whole(call.over(line), line), call.understand)
        self._hear(answer)
        return answer

    def _hear(self, answer: Answer) -> None:
        """Note the time of an answer that is the application's own and comes straight from it (RFC 9110 6.6.1, RFC 9111 5.1)."""
        date = answer.date
        if date and "age" not in answer.headers:
            self.heard = SourceTime(date=date, at=elapsed())

    def _begin(self, call: _Call, limit: Limit) -> Download | Answer:
        with ExitStack() as stack, _telling_trouble():
            line = stack.enter_context(self._lines.line(call.origin, limit))
            head = call.over(line)
            if head.status != OK:
                return judged(whole(head, line), None)
            refuse_encodings(head.headers)
            return Download(headers=head.headers, chunks=self._chunks(call.host, line), close=stack.pop_all().close)

    def _chunks(self, host: str, line: Line) -> Iterator[bytes]:
        line.wire.limit = Pace(self._patience.slowest, self._patience.window)
        try:
            with _telling_trouble():
                yield from _gathered(line.body())
        except Trouble as trouble:
            self._circuit(host).stumbled(str(trouble))
            raise _unavailable(host, trouble) from trouble


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, 64 KiB or more at a time; less at the end."""
    chunk, size = [], 0
    for piece in pieces:
        chunk.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield b"".join(chunk)
            chunk, size = [], 0
    if chunk:
        yield b"".join(chunk)


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _unavailable(host: str, trouble: Trouble) -> HostAway:
    asked = timedelta(seconds=trouble.retry_after) if trouble.retry_after is not None else None
    mend = f". If it stays so, {trouble.remedy}" if trouble.remedy else ""
    return HostAway(f"{host} cannot be used now: {trouble}; it is tried again at the next poll{mend}", retry_after=asked)


@contextmanager
def _telling_trouble() -> Iterator[None]:
    """Turn what the network says into Trouble."""
    try:
        yield
    except TooSlow as error:
        raise Trouble(str(error)) from error
    except TimeoutError as error:
        raise Trouble("there was no answer in time", remedy=what_to_do(error)) from error
    except (Unreachable, OSError, NotHttp) as error:
        raise Trouble(plain_reason(error, "the connection broke off"), again=_is_blip(error), remedy=what_to_do(error)) from error


def _is_blip(error: Exception) -> bool:
    """Whether a connection that was there, or about to be, broke; as opposed to a host that refuses connections or has no name."""
    return not isinstance(error, Unreachable) or isinstance(error.__cause__, ConnectionResetError)
