"""Many calls at once in one thread: each has its own result, whatever becomes of the others."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from connectors.net.http_batch import Call, Outcome, Sink
from connectors.net.http_client import HttpClient
from connectors.net.http_response import HttpResponse, json_object
from connectors.net.timeouts import Timeouts
from connectors.sandbox.http_server import LoopbackServer, Manner, Request, Response, Stream
from daemon.core.errors import MailboxUnavailable
from tests.connectors.http_tools import (  # noqa: F401  # a fixture
    FINE,
    JSON,
    RESET,
    Clock,
    Server,
    new_clock,
    new_http,
    new_server,
    stream,
)


def results(http: HttpClient, *calls: Call, at_once: int = 8) -> dict[Call, Outcome]:
    with http.batch(at_once) as batch:
        for call in calls:
            batch.add(call)
        return dict(batch)


def call(server: LoopbackServer, path: str = "/x", **more: Any) -> Call:
    return Call(url=f"{server.url}{path}", headers={}, **more)


def body(size: int = 100_000) -> Response:
    return stream(size, chunked=False)


Answers = Mapping[str, Response]


def by_path(answers: Answers) -> Callable[[Request], Response]:
    return lambda request: answers.get(request.path, FINE)


def test_each_call_has_its_own_result(http: HttpClient) -> None:
    """What is refused, cut, silent, redirected or no JSON costs no other call anything."""
    answers = {
        "/404": Response(status=404),
        "/500": Response(status=500),
        "/302": Response(status=302),
        "/page": Response(status=200, body=b"<html>"),
        "/cut": stream(100_000, manner=Manner(cut_after=50_000)),
        "/silent": Response(status=200, body=bytes(10), manner=Manner(seconds_per_byte=9)),
        "/large": stream(17_000_000),
    }
    with LoopbackServer(by_path(answers)) as server:
        told = results(
            http, *[call(server, each, parse=json_object) for each in (*answers, *["/fine"] * 9)]
        )
    words = {each.url.rpartition("/")[2]: outcome for each, outcome in told.items()}
    assert isinstance(words["404"], HttpResponse)
    assert isinstance(words["fine"], HttpResponse)
    assert words["fine"].value == {"fine": True}
    for name, reason in {
        "500": "answered 500",
        "302": "redirect",
        "page": "no sense",
        "cut": "broke off",
        "silent": "no answer in time",
        "large": "larger than 16 MiB",
    }.items():
        assert isinstance(words[name], MailboxUnavailable)
        assert reason in str(words[name])
    assert sum(isinstance(each, HttpResponse) for each in told.values()) == 10


def test_calls_go_at_once_and_not_more_than_allowed(http: HttpClient) -> None:
    """Ten calls of a tenth of a second take two of them where five go at once."""
    running, most, lock = [0], [0], threading.Lock()

    def slow(_: Request) -> Response:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.1)
        with lock:
            running[0] -= 1
        return FINE

    with LoopbackServer(slow) as server:
        began = time.monotonic()
        told = results(http, *[call(server) for _ in range(10)], at_once=5)
        took = time.monotonic() - began
    assert all(isinstance(each, HttpResponse) for each in told.values())
    assert most[0] == 5
    assert took < 0.9


def test_a_call_can_follow_from_a_result(http: HttpClient, server: Server) -> None:
    """Calls that are added while results are iterated over are made in the same batch."""
    with http.batch(4) as batch:
        batch.add(call(server, "/1"))
        paths = []
        for each, outcome in batch:
            assert isinstance(outcome, HttpResponse)
            paths.append(each.url[-1])
            if len(paths) < 3:
                batch.add(call(server, f"/{len(paths) + 1}"))
    assert paths == ["1", "2", "3"]


def test_a_blip_is_got_over_in_a_batch(http: HttpClient, server: Server) -> None:
    """Transient failures are repeated by themselves, as often as in a single call."""
    server.script = [RESET, Response(status=503), RESET]
    told = results(http, *[call(server, parse=json_object) for _ in range(3)], at_once=1)
    assert [each.value for each in told.values() if isinstance(each, HttpResponse)] == [
        {"fine": True}
    ] * 3
    assert len(server.requests) == 6


def test_bodies_go_where_their_heads_say(http: HttpClient, server: Server) -> None:
    """A body goes to its sink in pieces, with the head before the first; a refusal never does."""
    server.script = [body(), Response(status=400, body=b"{}", headers=JSON), body()]
    pieces: list[bytes] = []
    heads: list[Mapping[str, str]] = []

    def into(headers: Mapping[str, str]) -> Sink:
        heads.append(headers)
        return pieces.append

    told = results(http, *[call(server, into=into) for _ in range(3)], at_once=1)
    assert [each.status for each in told.values() if isinstance(each, HttpResponse)] == [
        200,
        400,
        200,
    ]
    assert sum(map(len, pieces)) == 200_000
    assert [each["content-disposition"] for each in heads] == ["attachment"] * 2


def test_a_body_is_never_poured_twice(http: HttpClient, server: Server) -> None:
    """What breaks off after its first piece is not repeated within the batch, and says so."""
    server.script = [stream(1_000_000, manner=Manner(cut_after=500_000))]
    pieces: list[bytes] = []
    (told,) = results(http, call(server, into=lambda _: pieces.append)).values()
    assert isinstance(told, MailboxUnavailable)
    assert len(server.requests) == 1


def test_a_sink_that_fails_ends_its_own_call(http: HttpClient, server: Server) -> None:
    """A full disk, or a head that is refused, is the result of that call and of no other."""
    server.then = body()

    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    def refused(_: Mapping[str, str]) -> Sink:
        raise MailboxUnavailable("a web page came")

    calls = [
        call(server, into=lambda _: full),
        call(server, into=refused),
        call(server, into=lambda _: len),
    ]
    told = results(http, *calls)
    assert isinstance(told[calls[0]], OSError)
    assert "a web page came" in str(told[calls[1]])
    assert isinstance(told[calls[2]], HttpResponse)


def test_a_body_that_drips_is_given_up_in_a_batch(http: HttpClient) -> None:
    """A lowest rate holds for each body by itself; the quick one beside it is complete."""
    answers = {"/slow": stream(1_000_000, manner=Manner(seconds_per_byte=0.02)), "/quick": body()}
    with LoopbackServer(by_path(answers)) as server:
        slow = call(server, "/slow", into=lambda _: len)
        quick = call(server, "/quick", into=lambda _: len)
        told = results(http, slow, quick)
    assert "less than 1024 bytes a second" in str(told[slow])
    assert isinstance(told[quick], HttpResponse)


def test_large_bodies_take_no_memory(http: HttpClient) -> None:
    """Four bodies of 50 MB at once take a few megabytes, also while a sink is slow."""

    def sink(_: bytes) -> None:
        time.sleep(0.0001)

    chunk = bytes(1_000_000)

    def large(_: Request) -> Response:
        return Response(status=200, body=Stream(chunks=[chunk] * 50, length=50_000_000))

    with LoopbackServer(large) as server:
        tracemalloc.start()
        told = results(http, *[call(server, into=lambda _: sink) for _ in range(4)])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert all(isinstance(each, HttpResponse) for each in told.values())
    assert peak < 20_000_000


def test_a_host_that_fails_in_a_row_is_left_alone_in_a_batch(
    http: HttpClient, server: Server, clock: Clock
) -> None:
    """After five failures the rest of a batch ends without a request; after the pause one call of
    the next batch is the probe, and the others follow it."""
    server.then = Response(status=500)
    told = results(http, *[call(server) for _ in range(20)], at_once=1)
    assert len(server.requests) == 5
    assert sum("failed repeatedly" in str(each) for each in told.values()) == 15
    server.then = FINE
    clock.now += 300
    told = results(http, *[call(server) for _ in range(20)])
    assert all(isinstance(each, HttpResponse) for each in told.values())


def test_a_probe_that_fails_is_one_request(http: HttpClient, server: Server, clock: Clock) -> None:
    """A host that is still down after the pause gets one request from a whole batch."""
    server.then = Response(status=500)
    results(http, *[call(server) for _ in range(20)], at_once=1)
    clock.now += 300
    told = results(http, *[call(server) for _ in range(20)])
    assert all(isinstance(each, MailboxUnavailable) for each in told.values())
    assert len(server.requests) == 6


def test_a_batch_that_is_left_early_leaves_nothing_behind(http: HttpClient, server: Server) -> None:
    """Calls in flight are broken off, and the client goes on with new connections."""
    server.then = Response(status=200, body=bytes(100), manner=Manner(seconds_per_byte=1))
    with http.batch(4) as batch:
        batch.add(call(server))
        server.script = [FINE]
        batch.add(call(server))
        next(iter(batch))
    server.then = FINE
    assert http.get(f"{server.url}/x", {}).status == 200


def test_a_silent_call_does_not_wait_for_others() -> None:
    """A silent server ends its call in time although another one always has something to say."""
    chatty = stream(1_000_000, manner=Manner(seconds_per_byte=0.001))
    silent = Response(status=200, body=bytes(10), manner=Manner(seconds_per_byte=9))
    http = HttpClient(longest_pause=300, timeouts=Timeouts(step=0.2, retry_delays=()))
    answers = {"/chatty": chatty, "/silent": silent}
    with closing(http), LoopbackServer(by_path(answers)) as server:
        with http.batch(2) as batch:
            batch.add(call(server, "/chatty", into=lambda _: len))
            batch.add(call(server, "/silent"))
            began = time.monotonic()
            first, outcome = next(iter(batch))
        assert first.url.endswith("/silent")
        assert "no answer in time" in str(outcome)
        assert time.monotonic() - began < 2
