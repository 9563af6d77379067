"""Neighbours of the web endpoints who take what they can get, and addresses that cannot be had:
letters go on."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.loopback import free_port
from tests.journeys.conftest import Begin, Journey, kill

_TOKEN = "a token of some length"
_FILES = 256
"""That the service may have open."""
_CONNECTIONS = 1500


@pytest.fixture
def journey(begun: Callable[..., Begin]) -> Iterator[Journey]:
    """A journey whose mailbox is read every second."""
    with begun(mailbox='poll_every = "1s"\n') as journey:
        yield journey


@pytest.fixture
def ports(journey: Journey) -> tuple[int, int]:
    """Where the pull API and the monitors' endpoint are."""
    api, monitoring = free_port(), free_port()
    (journey.scene.folder / "api.token").write_text(_TOKEN)
    with journey.scene.configuration.open("a") as configuration:
        configuration.write(f'\n[api]\ntoken_file = "api.token"\nport = {api}\n')
        configuration.write(f'[monitoring]\nlisten = "127.0.0.1:{monitoring}"\n')
    return api, monitoring


@contextlib.contextmanager
def _running(journey: Journey) -> Iterator[None]:
    """A service with few files, until the block ends; it must not have ended by itself before."""
    with (journey.scene.folder / "service.txt").open("w") as errors:
        process = journey.start("run", errors=errors)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (_FILES, _FILES))
        try:
            yield
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        finally:
            kill(process)
    assert process.returncode == 0


def _errors(journey: Journey) -> str:
    return Path(journey.scene.folder / "service.txt").read_text()


@contextlib.contextmanager
def _many_files() -> Iterator[None]:
    """Enough for this side of the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip("this machine does not allow so many connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _connect(place: int, port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    with contextlib.suppress(OSError):  # it may have been ended already
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Half: "[: 40 * (place % 2)])
    return connection


def test_letters_go_on_beside_1500_connections(journey: Journey, ports: tuple[int, int]) -> None:
    """More idle and half-open connections than the service may have files hold up no letter, and
    keep out nobody who asks."""
    with _many_files(), _running(journey), contextlib.ExitStack() as ends:
        journey.metrics(ports[1])
        for place in range(_CONNECTIONS):
            ends.enter_context(_connect(place, ports[place // 2 % 2]))
        letters = journey.publish(12)
        assert journey.altinn.wait_for(
            lambda: len(journey.whole_drops()) == len(letters), timeout=60
        )
        assert "postmottak_deliveries" in journey.metrics(ports[1])
        asked = httpx.get(
            f"http://127.0.0.1:{ports[0]}/api/v1/messages/none",
            headers={"Authorization": f"Bearer {_TOKEN}"},
            timeout=60,
        )
        assert asked.status_code == 404
    assert "Too many open files" not in _errors(journey)


def test_an_address_in_use(journey: Journey, ports: tuple[int, int]) -> None:
    """Endpoints whose address somebody else has are a problem that is shown and tried again;
    letters go on meanwhile."""
    with (
        socket.create_server(("127.0.0.1", ports[0])),
        socket.create_server(("127.0.0.1", ports[1])),
        _running(journey),
    ):
        journey.publish(3)
        assert journey.altinn.wait_for(lambda: bool(journey.whole_drops()), timeout=30)
        assert journey.altinn.wait_for(
            lambda: "the pull API cannot listen" in journey.run("status", "--monitor").output,
            timeout=60,
        )
    assert _errors(journey).count("a web endpoint cannot listen") == 2


def test_guesses_of_the_token(journey: Journey, ports: tuple[int, int]) -> None:
    """Wrong tokens are counted, logged once a minute, shown, and answered with a wait; a request
    with the right one is not kept out."""
    address = f"http://127.0.0.1:{ports[0]}/api/v1/messages/none"
    with _running(journey):
        journey.metrics(ports[1])
        answers = [
            httpx.get(address, headers={"Authorization": f"Bearer {guess}"}) for guess in range(30)
        ]
        assert [each.status_code for each in answers] == [401] * 9 + [429] * 21
        assert answers[-1].headers["Retry-After"] == "60"
        assert httpx.get(address, headers={"Authorization": f"Bearer {_TOKEN}"}).status_code == 404
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[1]}/metrics") as numbers:
            assert b"postmottak_api_wrong_tokens_total 30.0\n" in numbers.read()
        assert journey.altinn.wait_for(
            lambda: "without the right token" in journey.run("status", "--monitor").output,
            timeout=60,
        )
    assert _errors(journey).count("calls of the pull API without the right token") == 1
