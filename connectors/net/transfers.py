"""Any number of calls at once in one thread, by libcurl's multi interface."""

from __future__ import annotations

import time

import pycurl

from connectors.net.curl_errors import as_exception
from connectors.net.curl_handles import CurlHandle, Trust
from connectors.net.kept_sockets import KeptSockets
from connectors.net.limits import Deadline, Silence, TransferTooSlow
from connectors.net.response_head import ProtocolError
from connectors.net.transfer import BodyTooLarge, HttpRequest, Transfer
from daemon.core.proxies import Proxies

_NEVER = float("inf")
_LONGEST_WAIT = 60.0  # seconds
_PAUSE = 0.005  # seconds; where libcurl has no socket to wait for, or one that select cannot name


class Transfers:
    """Calls in flight, and connections that are kept for the next ones.

    Only `turn` makes them go on. For one thread at a time. `connect` and `step` are in seconds: for
    making a connection, and for each wait for the server.
    """

    def __init__(self, trust: Trust, proxies: Proxies, *, connect: float, step: float) -> None:
        self._trust = trust
        self._proxies = proxies
        self._connect = connect
        self._step = step
        self._multi = pycurl.CurlMulti()
        self._kept = KeptSockets()
        self._idle: list[CurlHandle] = []
        self._active: dict[pycurl.Curl, tuple[CurlHandle, Transfer]] = {}
        self._check_at = _NEVER
        self._waited = 0.0
        """The seconds spent in `turn`: what the caller does in between is not held against
        servers.
        """

    @property
    def active(self) -> int:
        """How many calls are in flight."""
        return len(self._active)

    def start(self, request: HttpRequest, deadline: Deadline) -> Transfer:
        """Begin a call. Raises ProtocolError, if it would not be a valid request."""
        proxy = self._proxies.of(request.url)
        handle = self._idle.pop() if self._idle else self._new_handle()
        handle.prepare(request, proxy)
        transfer = Transfer(request, proxy, deadline, Silence(self._step, self._waited))
        self._multi.add_handle(handle.curl)
        self._active[handle.curl] = handle, transfer
        now = time.monotonic()
        self._check_at = min(self._check_at, now + transfer.check(now, self._waited))
        return transfer

    def require_rate(self, transfer: Transfer, lowest: float, window: float) -> None:
        """Drop a call's deadline, and require a lowest rate instead: bytes a second in a window."""
        transfer.require_rate(lowest, window, self._waited)
        self._check_at = 0

    def turn(self, longest: float = _LONGEST_WAIT) -> list[Transfer]:
        """Wait for something to come, for `longest` seconds at most, and take it.

        Returns the calls that have ended, with a fault or without. What comes of each is bounded,
        some hundred kilobytes.
        """
        began = time.monotonic()
        self._wait(min(longest, self._check_at - began))
        self._multi.perform()
        now = time.monotonic()
        self._waited += now - began
        ended = self._collect()
        if self._active:
            ended += self._look()
            if now >= self._check_at:
                ended += self._enforce(now)
        return ended

    def abandon(self, transfer: Transfer) -> None:
        """End a call that nobody waits for; its connection is closed unless it was through."""
        for handle, each in list(self._active.values()):
            if each is transfer:
                self._end(handle, each)

    def close(self) -> None:
        """Close all connections; what is in flight ends without a response."""
        for handle, transfer in list(self._active.values()):
            self._end(handle, transfer)
        for handle in self._idle:
            handle.curl.close()
        self._multi.close()

    def _new_handle(self) -> CurlHandle:
        return CurlHandle(self._trust, self._kept, self._connect)

    def _wait(self, seconds: float) -> None:
        """Wait until libcurl has something to do, for `seconds` at most."""
        timer = self._multi.timeout()  # in milliseconds; -1 for none
        if timer >= 0:
            seconds = min(seconds, timer / 1000)
        if seconds <= 0:
            return
        began = time.monotonic()
        if self._multi.select(seconds) <= 0:
            left = seconds - (time.monotonic() - began)
            if left > 0:
                time.sleep(min(left, _PAUSE))

    def _collect(self) -> list[Transfer]:
        """Take the calls that libcurl is through with."""
        ended: list[Transfer] = []
        more = 1
        while more:
            more, through, failed = self._multi.info_read()
            ended += [self._complete(*self._active[curl]) for curl in through]
            for curl, code, words in failed:
                ended += self._fail(*self._active[curl], code, words)
        return ended

    def _complete(self, handle: CurlHandle, transfer: Transfer) -> Transfer:
        """End a call with its whole response; its connection may be used again if that is fine."""
        self._hear(handle, transfer)
        if transfer.head is None:
            transfer.fault = transfer.fault or ProtocolError()
        socket = handle.curl.getinfo(pycurl.ACTIVESOCKET)
        if socket >= 0:
            self._kept.keep(handle.addresses, socket, spoilt=transfer.fault is not None)
        return self._end(handle, transfer)

    def _fail(
        self, handle: CurlHandle, transfer: Transfer, code: int, words: str
    ) -> list[Transfer]:
        """End a call that libcurl gave up; begin it again if its connection was spoilt."""
        if handle.spoilt:
            self._multi.remove_handle(handle.curl)
            handle.avoid_kept()
            self._multi.add_handle(handle.curl)
            return []
        self._hear(handle, transfer)
        transfer.fault = transfer.fault or as_exception(
            code, words, handle.curl, transfer.proxy, connected=handle.asked
        )
        return [self._end(handle, transfer)]

    def _look(self) -> list[Transfer]:
        """Take what has come of the calls in flight."""
        ended: list[Transfer] = []
        for handle, transfer in list(self._active.values()):
            self._hear(handle, transfer)
            if transfer.fault:
                ended.append(self._end(handle, transfer))
        return ended

    def _hear(self, handle: CurlHandle, transfer: Transfer) -> None:
        news = handle.pieces or (transfer.head is None and handle.lines)
        if not (news and handle.asked):
            return
        try:
            transfer.heard(handle.lines, handle.pieces, self._waited)
        except (ProtocolError, BodyTooLarge) as error:
            transfer.fault = error
        handle.pieces.clear()

    def _enforce(self, now: float) -> list[Transfer]:
        """End the calls that have reached a limit, and note when to look again."""
        ended: list[Transfer] = []
        self._check_at = _NEVER
        for handle, transfer in list(self._active.values()):
            try:
                left = transfer.check(now, self._waited)
                self._check_at = min(self._check_at, now + left)
            except (TransferTooSlow, TimeoutError) as error:
                transfer.fault = error
                ended.append(self._end(handle, transfer))
        return ended

    def _end(self, handle: CurlHandle, transfer: Transfer) -> Transfer:
        del self._active[handle.curl]
        self._multi.remove_handle(handle.curl)
        transfer.ended = True
        self._idle.append(handle)
        return transfer
