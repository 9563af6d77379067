"""Everything that can be made to go wrong, and that it can be watched and stopped."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendAttachment, PretendLetter

PARTY = "974761076"
RESOURCE = "eformidling-dpv-administrasjon"
BASE = "/correspondence/api/v1/correspondence"


@dataclass
class World:
    altinn: FakeAltinn
    http: httpx.Client
    letter: str

    def overview(self) -> httpx.Response:
        return self.http.get(f"{BASE}/{self.letter}")

    def download(self) -> httpx.Response:
        attachment = self.altinn.record(self.letter).attachments[0].id
        return self.http.get(f"{BASE}/{self.letter}/attachment/{attachment}/download")

    def happened(self) -> tuple[str, ...]:
        return self.altinn.statuses(self.letter)[3:]


@pytest.fixture
def world() -> Iterator[World]:
    with FakeAltinn() as altinn, httpx.Client(base_url=altinn.platform_url) as http:
        ready = altinn.ready_client()
        altinn.allow(ready.client_id, PARTY, [RESOURCE])
        http.headers["Authorization"] = f"Bearer {altinn.token(ready.client_id, PARTY)}"
        letter = altinn.publish(
            PretendLetter(party=PARTY, attachments=(PretendAttachment(content=b"abcdef"),))
        )
        yield World(altinn, http, letter)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_the_gateway_says_no(world: World, status: int) -> None:
    """The status and a web page (a problem document for 500), once; nothing happened at the
    letter."""
    world.altinn.faults.inject(faults.status(status))
    response = world.overview()
    kind = "application/problem+json" if status == 500 else "text/html; charset=utf-8"
    assert (response.status_code, response.headers["content-type"]) == (status, kind)
    assert "retry-after" not in response.headers
    assert world.happened() == ()
    assert world.overview().status_code == 200


def test_retry_after_stands_as_it_is_given(world: World) -> None:
    """Seconds, a date, or nonsense."""
    for text in ("7", "Wed, 21 Oct 2026 07:28:00 GMT", "soon"):
        world.altinn.faults.inject(faults.status(429, retry_after=text))
        assert world.overview().headers["retry-after"] == text


def test_a_web_page_comes_with_200(world: World) -> None:
    """HTML where JSON should be."""
    world.altinn.faults.inject(faults.html_page())
    response = world.overview()
    assert (response.status_code, response.headers["content-type"]) == (
        200,
        "text/html; charset=utf-8",
    )


def test_a_redirect_leads_to_a_login_page(world: World) -> None:
    """302 and a location."""
    world.altinn.faults.inject(faults.login_redirect())
    assert world.overview().headers["location"] == "/authentication/login"


def test_a_reset_leaves_no_trace_and_a_lost_answer_does(world: World) -> None:
    """Both look alike to the client; only at the server is there a difference."""
    for fault, trace in ((faults.reset(), ()), (faults.lost_answer(), ("Fetched",))):
        world.altinn.faults.inject(fault)
        with pytest.raises(httpx.ReadError):
            world.overview()
        assert world.happened() == trace


@pytest.mark.parametrize("announced", [True, False])
def test_bodies_are_cut_short(world: World, *, announced: bool) -> None:
    """JSON and files alike, with and without their length."""
    world.altinn.faults.inject(faults.cut_short(announced=announced), times=2)
    for call in (world.overview, world.download):
        with pytest.raises(httpx.RemoteProtocolError):
            call()


def test_a_body_drips(world: World) -> None:
    """The head comes, and the body so slowly that a client without a deadline waits for ever."""
    world.altinn.faults.inject(faults.drip(3600))
    with world.http.stream(
        "GET", f"{BASE}/{world.letter}", timeout=httpx.Timeout(5, read=0.2)
    ) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            response.read()


def test_a_byte_is_wrong(world: World) -> None:
    """The length is right and the bytes are not; the next download is."""
    world.altinn.faults.inject(faults.wrong_bytes(), "download")
    assert world.download().content == bytes([ord("a") ^ 0xFF]) + b"bcdef"
    assert world.download().content == b"abcdef"


def test_an_empty_file_can_be_wrong_too(world: World) -> None:
    """It gets a byte that it should not have."""
    world.letter = world.altinn.publish(
        PretendLetter(party=PARTY, attachments=(PretendAttachment(content=b""),))
    )
    world.altinn.faults.inject(faults.wrong_bytes(), "download")
    assert world.download().content == b"\xff"


def test_a_small_body_unpacks_to_a_huge_one(world: World) -> None:
    """The gzip bomb is one valid member, a thousandth of what it becomes."""
    world.altinn.faults.inject(faults.gzip_bomb(megabytes=64))
    with world.http.stream("GET", f"{BASE}/{world.letter}") as response:
        packed = b"".join(response.iter_raw())
    assert response.headers["content-encoding"] == "gzip"
    unpacker, length = zlib.decompressobj(16 + zlib.MAX_WBITS), 0
    data = packed
    while data:
        length += len(unpacker.decompress(data, 1 << 20))
        data = unpacker.unconsumed_tail
    assert unpacker.eof
    assert (length, len(packed) < 100_000) == (64 << 20, True)


def test_faults_choose_their_requests(world: World) -> None:
    """By kind and by number; what is not meant is left alone."""
    world.altinn.faults.inject(faults.status(503), "download", "list", times=2)
    assert world.overview().status_code == 200
    assert [world.download().status_code for _ in range(3)] == [503, 503, 200]
    assert world.altinn.faults.hits == {"status 503": 2}


def test_a_fault_can_last_until_it_is_cleared(world: World) -> None:
    """Without a number, it stays."""
    world.altinn.faults.inject(faults.status(503), times=None)
    assert [world.overview().status_code for _ in range(5)] == [503] * 5
    world.altinn.faults.clear()
    assert world.overview().status_code == 200


def test_a_storm_can_be_repeated() -> None:
    """The same seed gives the same storm, at about the rate that was asked for."""

    def storm(seed: int) -> list[str]:
        chances = faults.Faults(seed)
        chances.storm(0.1, [faults.status(500), faults.reset(), faults.html_page()])
        return [
            fault.name if fault else "" for fault in (chances.next("list") for _ in range(1000))
        ]

    assert storm(7) == storm(7)
    assert storm(7) != storm(8)
    assert 60 < len([name for name in storm(7) if name]) < 140
    assert len(set(storm(7))) == 4


def test_an_outage_refuses_and_ends(world: World) -> None:
    """Connections are refused, the open one is dropped, and afterwards everything is as it was."""
    assert world.overview().status_code == 200
    with world.altinn.outage(), pytest.raises(httpx.ConnectError):
        httpx.get(world.altinn.platform_url)
    assert httpx.get(f"{world.altinn.platform_url}/jwk").status_code == 200
    assert world.overview().status_code == 200


def test_latency_is_for_each_request(world: World) -> None:
    """Requests take at least so long, and do not wait for each other."""
    world.altinn.latency = 0.05
    response = world.overview()
    assert response.elapsed.total_seconds() >= 0.05


def test_calls_are_counted(world: World) -> None:
    """Each request is kept with its kind, its query and its outcome, also one that was refused or
    befallen by a fault."""
    world.http.get(BASE, params={"resourceId": RESOURCE, "role": "Recipient"})
    world.altinn.faults.inject(faults.status(503), "overview")
    world.overview()
    httpx.get(f"{world.altinn.platform_url}{BASE}/{world.letter}")
    httpx.get(f"{world.altinn.platform_url}/nothing")
    kinds = [(call.kind, call.method, call.status, call.fault) for call in world.altinn.calls()]
    assert kinds == [
        ("list", "GET", 200, None),
        ("overview", "GET", 503, "status 503"),
        ("overview", "GET", 401, None),
        ("other", "GET", 404, None),
    ]
    assert world.altinn.calls("list")[0].query == f"resourceId={RESOURCE}&role=Recipient"
    assert (
        world.altinn.count("overview"),
        world.altinn.count("list", "other"),
        world.altinn.count(),
    ) == (2, 2, 4)
    world.altinn.forget_calls()
    assert world.altinn.calls() == ()


def test_calls_and_statuses_can_be_waited_for(world: World) -> None:
    """Waiting ends when the thing has happened, and says so when it does not."""
    worker = threading.Thread(target=world.overview)
    worker.start()
    assert world.altinn.wait_for_calls("overview", 1)
    assert world.altinn.wait_for_status(world.letter, "Fetched")
    worker.join()
    assert not world.altinn.wait_for_calls("overview", 2, timeout=0.05)
