"""A host that is down: left alone after some failures, asked by one call at a time, and used at
once when it is back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest

from connectors.net.http_client import HttpClient
from connectors.sandbox.http_server import Response
from daemon.core.errors import MailboxUnavailable
from tests.connectors.http_tools import (  # noqa: F401  # a fixture
    FINE,
    QUICK,
    Clock,
    Server,
    get,
    new_clock,
    new_http,
    new_server,
)


def break_circuit(http: HttpClient, server: Server) -> None:
    server.then = Response(status=500)
    for _ in range(5):
        with pytest.raises(MailboxUnavailable, match="answered 500"):
            get(http, server)


def test_a_host_that_fails_in_a_row_is_left_alone(http: HttpClient, server: Server) -> None:
    """After five failures no request leaves, the error says why and for how long, and another host
    is not concerned."""
    break_circuit(http, server)
    with pytest.raises(
        MailboxUnavailable, match=r"failed repeatedly.*answered 500.*again in [0-9]+ s"
    ) as caught:
        get(http, server)
    assert caught.value.retry_after
    assert len(server.requests) == 5
    with Server() as other:
        assert get(http, other).status == 200


def test_a_success_in_between_restarts_the_count(http: HttpClient, server: Server) -> None:
    """Single failures, however many, do not add up."""
    for _ in range(20):
        server.script = [Response(status=500)]
        with pytest.raises(MailboxUnavailable, match="answered 500"):
            get(http, server)
        assert get(http, server).status == 200


def test_a_host_that_is_back_is_used_at_once(
    http: HttpClient, server: Server, clock: Clock
) -> None:
    """When the pause is over, the first call that succeeds opens the way for all."""
    break_circuit(http, server)
    server.then = FINE
    clock.now += 31
    assert [get(http, server).status for _ in range(3)] == [200, 200, 200]


def test_only_one_call_tries_whether_a_host_is_back(
    http: HttpClient, server: Server, clock: Clock
) -> None:
    """Threads that come while the first call tries wait for what comes of it, and do not add to the
    load of a host that is down."""
    break_circuit(http, server)
    clock.now += 31
    server.requests.clear()

    def attempt(_: int) -> str:
        try:
            return str(get(http, server).status)
        except MailboxUnavailable as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(8)))
    assert len(server.requests) == 1
    assert not any(each == "200" for each in outcomes)


def test_an_hour_of_outage_costs_few_calls(http: HttpClient, server: Server, clock: Clock) -> None:
    """Eight threads with forty channels, a poll every five minutes: fewer than forty requests in an
    hour, and back at the next poll."""
    server.then = Response(status=503)

    def attempt(_: int) -> bool:
        with suppress(MailboxUnavailable):
            return get(http, server).status == 200
        return False

    with ThreadPoolExecutor(8) as pool:
        for _ in range(12):
            assert not any(pool.map(attempt, range(40)))
            clock.now += 300
        assert len(server.requests) < 40
        server.then = FINE
        assert all(pool.map(attempt, range(40)))


def test_the_pause_is_never_longer_than_a_poll(server: Server) -> None:
    """However long an outage lasts, the next poll after its end finds the host."""
    clock = Clock()
    with closing(HttpClient(longest_pause=60, timeouts=QUICK, clock=clock)) as http:
        break_circuit(http, server)
        for _ in range(10):
            clock.now += 60
            with pytest.raises(MailboxUnavailable, match="answered 500"):
                get(http, server)
        server.then = FINE
        clock.now += 60
        assert get(http, server).status == 200
