"""Faults between a client and Altinn, which can be switched on while everything runs.

A fault either replaces the response, so that nothing happened at the server, or spoils a correct
response, so that the request has been carried out.
"""

from __future__ import annotations

import functools
import random
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus

from connectors.sandbox.altinn3.problems import unhandled
from connectors.sandbox.http_server import Manner, Response, Stream

_MEGABYTE = 1 << 20
_HTML = (("Content-Type", "text/html; charset=utf-8"),)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to fail. Exactly one of the two is set."""

    name: str
    instead: Callable[[], Response] | None = None
    """The response in place of the real one; the request is not carried out."""
    spoil: Callable[[Response], Response] | None = None
    """Spoils the correct response; the request has been carried out."""


def status(code: int, *, retry_after: str | None = None) -> Fault:
    """Return the server's 500 (problem+json), or a gateway's 429, 502, 503 or 504 (a web page).

    `retry_after` is the header's value.
    """
    page = f"<html><head><title>{code}</title></head><body><h1>{code}</h1></body></html>".encode()
    right = (
        unhandled("/")
        if code == HTTPStatus.INTERNAL_SERVER_ERROR
        else Response(status=code, body=page, headers=_HTML)
    )
    response = replace(
        right, headers=(*right.headers, *((("Retry-After", retry_after),) if retry_after else ()))
    )
    return Fault(name=f"status {code}", instead=lambda: response)


def html_page() -> Fault:
    """Return a web page with status 200 in place of JSON or a file."""
    page = b"<!DOCTYPE html><html><body>The service is being maintained</body></html>"
    return Fault(name="html page", instead=lambda: Response(status=200, body=page, headers=_HTML))


def login_redirect() -> Fault:
    """Return a redirect to a login page."""
    headers = (("Location", "/authentication/login"),)
    return Fault(name="login redirect", instead=lambda: Response(status=302, headers=headers))


def reset() -> Fault:
    """Reset the TCP connection before the request is carried out."""
    return Fault(name="reset", instead=lambda: Response(status=200, manner=Manner(reset=True)))


def lost_answer() -> Fault:
    """Reset the TCP connection after the request was carried out, which the client cannot know."""
    return Fault(name="lost answer", spoil=lambda right: replace(right, manner=Manner(reset=True)))


def cut_short(*, announced: bool) -> Fault:
    """Send half a body, then end the connection.

    The length of the whole is announced, or the body is chunked.
    """
    return Fault(
        name=f"cut short, {'length' if announced else 'chunked'}",
        spoil=lambda right: _cut(right, announced=announced),
    )


def drip(seconds_per_byte: float) -> Fault:
    """Send the head at once, then the body a byte at a time."""
    return Fault(
        name="drip",
        spoil=lambda right: replace(right, manner=Manner(seconds_per_byte=seconds_per_byte)),
    )


def wrong_bytes() -> Fault:
    """Send a body of the right length with one wrong byte; an empty one gets a byte."""
    return Fault(
        name="wrong bytes", spoil=lambda right: replace(right, body=_corrupted(right.body))
    )


def gzip_bomb(megabytes: int = 1024) -> Fault:
    """Send a small gzip-encoded body that unpacks to this many megabytes."""
    headers = (("Content-Type", "application/json"), ("Content-Encoding", "gzip"))
    return Fault(
        name="gzip bomb",
        instead=lambda: Response(status=200, body=_bomb(megabytes), headers=headers),
    )


@dataclass(kw_only=True)
class _Plan:
    fault: Callable[[random.Random], Fault]
    kinds: frozenset[str] | None
    left: int | None
    probability: float


class Faults:
    """The faults that are switched on.

    May be used from any thread; the random choices follow from `seed` and the order of requests.
    """

    def __init__(self, seed: int = 1) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 - chances that can be repeated
        self._plans: list[_Plan] = []
        self._hits: Counter[str] = Counter()

    def inject(
        self, fault: Fault, *kinds: str, times: int | None = 1, probability: float = 1.0
    ) -> None:
        """Fail the next `times` requests of these kinds, or each with a probability.

        Any kind if none is named; `times` None: until `clear`. Kinds are those of
        `FakeAltinn.calls`. The fault that was injected first acts first.
        """
        self._add(lambda _: fault, kinds, times, probability)

    def storm(self, probability: float, faults: Iterable[Fault], *kinds: str) -> None:
        """Fail each request with this probability, in one of these ways, until `clear`."""
        ways = tuple(faults)
        self._add(lambda chance: chance.choice(ways), kinds, None, probability)

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._plans.clear()

    @property
    def hits(self) -> Counter[str]:
        """How often each fault has acted, by name."""
        with self._lock:
            return Counter(self._hits)

    def next(self, kind: str) -> Fault | None:
        """Return the fault for this request, if any."""
        with self._lock:
            for plan in self._plans:
                if plan.kinds and kind not in plan.kinds:
                    continue
                if plan.left == 0 or self._random.random() >= plan.probability:
                    continue
                if plan.left is not None:
                    plan.left -= 1
                fault = plan.fault(self._random)
                self._hits[fault.name] += 1
                return fault
        return None

    def _add(
        self,
        fault: Callable[[random.Random], Fault],
        kinds: tuple[str, ...],
        times: int | None,
        probability: float,
    ) -> None:
        with self._lock:
            self._plans.append(
                _Plan(
                    fault=fault, kinds=frozenset(kinds) or None, left=times, probability=probability
                )
            )


def _cut(right: Response, *, announced: bool) -> Response:
    body = (
        Stream(chunks=[right.body], length=len(right.body))
        if isinstance(right.body, bytes)
        else right.body
    )
    return replace(
        right, body=replace(body, chunked=not announced), manner=Manner(cut_after=body.length // 2)
    )


def _corrupted(body: bytes | Stream) -> bytes | Stream:
    if isinstance(body, bytes):
        return b"".join(_flipped([body]))
    return replace(body, chunks=_flipped(body.chunks))


def _flipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    empty = True
    for chunk in chunks:
        yield bytes([chunk[0] ^ 0xFF]) + chunk[1:] if empty and chunk else chunk
        empty = empty and not chunk
    if empty:
        yield b"\xff"


@functools.cache
def _bomb(megabytes: int) -> bytes:
    """Return one gzip member of zeros.

    A megabyte is compressed once and repeated, which a full flush between the repeats allows.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(_MEGABYTE)
    piece = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(megabytes):
        checksum = zlib.crc32(zeros, checksum)
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    tail = checksum.to_bytes(4, "little") + (megabytes * _MEGABYTE & 0xFFFFFFFF).to_bytes(
        4, "little"
    )
    return head + piece * megabytes + packer.flush() + tail
